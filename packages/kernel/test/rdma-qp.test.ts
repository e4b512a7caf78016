import { describe, expect, it } from 'vitest';
import { EBUSY, EINVAL, EIO, ENOMEM } from '@mmkit/base';
import {
  IBV_ACCESS_LOCAL_WRITE,
  IBV_ACCESS_REMOTE_READ,
  IBV_ACCESS_REMOTE_WRITE,
  IBV_QPS_ERR,
  IBV_QPS_INIT,
  IBV_QPS_RESET,
  IBV_QPS_RTS,
  IBV_SEND_SIGNALED,
  IBV_WC_LOC_LEN_ERR,
  IBV_WC_LOC_PROT_ERR,
  IBV_WC_RDMA_READ,
  IBV_WC_RDMA_WRITE,
  IBV_WC_RECV,
  IBV_WC_REM_ACCESS_ERR,
  IBV_WC_REM_INV_REQ_ERR,
  IBV_WC_REM_OP_ERR,
  IBV_WC_RETRY_EXC_ERR,
  IBV_WC_RNR_RETRY_EXC_ERR,
  IBV_WC_SEND,
  IBV_WC_SUCCESS,
  IBV_WC_WR_FLUSH_ERR,
  IBV_WR_RDMA_READ,
  IBV_WR_RDMA_WRITE,
  IBV_WR_SEND,
} from '@mmkit/kernel';
import type { MemoryRegion, QueuePair, SendRequest, SendWr, Sge } from '@mmkit/kernel';
import { runPending } from '@mmkit/task';
import { builds, endAll, PAGE, pattern, thrown } from './builds.ts';
import type { Api } from './builds.ts';
import { ALL, drain, next, node, reg, SIZE, write } from './rdma-bench.ts';
import type { Node } from './rdma-bench.ts';

const GONE = { used: 0, pins: 0 };

interface Pair {
  readonly a: Node;
  readonly b: Node;
  /** a's whole buffer, `pattern(SIZE, 1)`. */
  readonly mrA: MemoryRegion;
  /** b's whole buffer, `pattern(SIZE, 2)`. */
  readonly mrB: MemoryRegion;
}

/** Two nodes, connected, with a region of `access` each. */
function pair(api: Api, a: Node, b: Node, access = ALL): Pair {
  expect(api.connectLoopback(a.qp, b.qp)).toBe(0);
  const mrA = reg(api, a.pd, a.address, SIZE, access);
  const mrB = reg(api, b.pd, b.address, SIZE, access);
  return { a, b, mrA, mrB };
}

/** Lets everything that is under way on the machines happen. */
function settle(...nodes: Node[]): void {
  while (nodes.some(({ machine }) => runPending(machine.sched)));
}

function bytesOf({ cpu, process, address }: Node): Uint8Array {
  return cpu.bytes(process, address, SIZE);
}

/** A piece of a region: `length` bytes from byte `at` on. */
function piece(mr: MemoryRegion, at: number, length: number): Sge {
  return { addr: mr.address + at, length, lkey: mr.key };
}

function finish(api: Api, { a, b, mrA, mrB }: Pair): void {
  settle(a, b);
  for (const mr of [mrA, mrB]) api.deregMr(mr);
  for (const { qp, pd, cq } of [a, b]) {
    api.destroyQp(qp);
    expect([api.deallocPd(pd), api.destroyCq(cq)]).toEqual([0, 0]);
  }
  for (const { machine } of [a, b]) expect(endAll(api, machine)).toEqual(GONE);
}

describe.each(builds)('%s build: moving bytes', (_name, api) => {
  const places: readonly (readonly [string, (a: Node) => Node])[] = [
    ['two processes of one machine', (a) => node(api, 2, a)],
    ['two machines', () => node(api, 2)],
  ];
  describe.each(places)('%s', (_where, other) => {
    function connected(): Pair {
      const a = node(api, 1);
      return pair(api, a, other(a));
    }

    it('RDMA write: the bytes lie in the other process, which does nothing for it', () => {
      const all = connected();
      const { a, b, mrA, mrB } = all;
      expect(api.postSend(a.qp, write(7, mrA, SIZE, mrB))).toBe(0);
      expect(next(api, a)).toEqual({
        wrId: 7,
        status: IBV_WC_SUCCESS,
        opcode: IBV_WC_RDMA_WRITE,
        byteLen: SIZE,
        qpNum: a.qp.qpNum,
      });
      expect(bytesOf(b)).toEqual(pattern(SIZE, 1));
      expect(drain(api, b.cq)).toEqual([]);
      finish(api, all);
    });

    it('RDMA read: the bytes of the other process come here', () => {
      const all = connected();
      const { a, b, mrA, mrB } = all;
      const wr = { ...write(8, mrA, 5000, mrB), opcode: IBV_WR_RDMA_READ, remoteAddr: mrB.address + 100 };
      expect(api.postSend(a.qp, wr)).toBe(0);
      expect(next(api, a)).toMatchObject({ wrId: 8, status: IBV_WC_SUCCESS, opcode: IBV_WC_RDMA_READ, byteLen: 5000 });
      expect(bytesOf(a).slice(0, 5000)).toEqual(pattern(SIZE, 2).slice(100, 5100));
      expect(bytesOf(a).slice(5000)).toEqual(pattern(SIZE, 1).slice(5000));
      expect(bytesOf(b)).toEqual(pattern(SIZE, 2));
      finish(api, all);
    });

    it('send: the message lies in the oldest receive, both sides are told', () => {
      const all = connected();
      const { a, b, mrA, mrB } = all;
      expect(api.postRecv(b.qp, { wrId: 1, sgList: [piece(mrB, 10, 200)] })).toBe(0);
      expect(api.postRecv(b.qp, { wrId: 2, sgList: [piece(mrB, 3000, 200)] })).toBe(0);
      const send = (wrId: number, length: number): SendWr => ({
        wrId,
        opcode: IBV_WR_SEND,
        sgList: [piece(mrA, 0, length)],
      });
      expect([api.postSend(a.qp, send(3, 100)), api.postSend(a.qp, send(4, 200))]).toEqual([0, 0]);
      expect(next(api, a)).toMatchObject({ wrId: 3, status: IBV_WC_SUCCESS, opcode: IBV_WC_SEND, byteLen: 100 });
      expect(next(api, a)).toMatchObject({ wrId: 4, byteLen: 200 });
      expect(next(api, b)).toEqual({
        wrId: 1,
        status: IBV_WC_SUCCESS,
        opcode: IBV_WC_RECV,
        byteLen: 100,
        qpNum: b.qp.qpNum,
      });
      expect(next(api, b)).toMatchObject({ wrId: 2, byteLen: 200 });
      const expected = pattern(SIZE, 2);
      expected.set(pattern(SIZE, 1).subarray(0, 100), 10);
      expected.set(pattern(SIZE, 1).subarray(0, 200), 3000);
      expect(bytesOf(b)).toEqual(expected);
      finish(api, all);
    });
  });

  it('several pieces on each side are one message', () => {
    const all = pair(api, node(api, 1), node(api, 2));
    const { a, b, mrA, mrB } = all;
    api.postRecv(b.qp, { wrId: 1, sgList: [piece(mrB, 4000, 200), piece(mrB, 0, 0), piece(mrB, 9000, 300)] });
    const sgList = [piece(mrA, 10, 50), { addr: 0, length: 0, lkey: 0 }, piece(mrA, 5000, 250)];
    api.postSend(a.qp, { wrId: 2, opcode: IBV_WR_SEND, sgList });
    expect(next(api, a).byteLen).toBe(300);
    expect(next(api, b).byteLen).toBe(300);
    const from = pattern(SIZE, 1);
    const message = [...from.slice(10, 60), ...from.slice(5000, 5250)];
    expect([...bytesOf(b).subarray(4000, 4200)]).toEqual(message.slice(0, 200));
    expect([...bytesOf(b).subarray(9000, 9100)]).toEqual(message.slice(200));
    expect(bytesOf(b).slice(9100)).toEqual(pattern(SIZE, 2).slice(9100));
    const read = { wrId: 3, opcode: IBV_WR_RDMA_READ, remoteAddr: mrB.address + 9000, rkey: mrB.key };
    api.postSend(a.qp, { ...read, sgList: [piece(mrA, 0, 30), piece(mrA, 8190, 70)] });
    expect(next(api, a).byteLen).toBe(100);
    expect([...bytesOf(a).slice(0, 30), ...bytesOf(a).slice(8190, 8260)]).toEqual(message.slice(200));
    finish(api, all);
  });

  it('no bytes: done, whatever the key says', () => {
    const all = pair(api, node(api, 1), node(api, 2));
    const { a } = all;
    for (const opcode of [IBV_WR_RDMA_WRITE, IBV_WR_RDMA_READ]) {
      api.postSend(a.qp, { wrId: 1, opcode, sgList: [], remoteAddr: 0, rkey: 0 });
      expect(next(api, a)).toMatchObject({ status: IBV_WC_SUCCESS, byteLen: 0 });
    }
    finish(api, all);
  });

  it('the bytes are read when the adapter gets to the request, not when it is posted', () => {
    const all = pair(api, node(api, 1), node(api, 2));
    const { a, b, mrA, mrB } = all;
    api.postSend(a.qp, write(1, mrA, 1, mrB));
    a.cpu.poke(a.process, a.address, 99);
    runPending(a.machine.sched);
    a.cpu.poke(a.process, a.address, 55);
    expect(next(api, a).status).toBe(IBV_WC_SUCCESS);
    expect(bytesOf(b)[0]).toBe(99);
    finish(api, all);
  });

  it('the caller may change its list as soon as it is posted', () => {
    const all = pair(api, node(api, 1), node(api, 2));
    const { a, b, mrA, mrB } = all;
    const sgList = [piece(mrA, 0, 10)];
    api.postSend(a.qp, { wrId: 1, opcode: IBV_WR_RDMA_WRITE, sgList, remoteAddr: mrB.address, rkey: mrB.key });
    sgList[0] = piece(mrA, 20, 10);
    next(api, a);
    expect(bytesOf(b)[0]).toBe(pattern(1, 1)[0]);
    finish(api, all);
  });

  it('many requests arrive in order; each way has its own', () => {
    const all = pair(api, node(api, 1), node(api, 2));
    const { a, b, mrA, mrB } = all;
    for (let i = 0; i < 10; i++) {
      const [from, to] = [piece(mrA, i * 50, 50), piece(mrB, i * 60, 60)];
      api.postSend(a.qp, { ...write(i, mrA, 50, mrB), sgList: [from] });
      api.postSend(b.qp, { ...write(i, mrB, 60, mrA), sgList: [to], remoteAddr: mrA.address + PAGE });
    }
    settle(a, b);
    expect(drain(api, a.cq)).toEqual(Array.from({ length: 10 }, (_, i) => [i, IBV_WC_SUCCESS, 50]));
    expect(drain(api, b.cq)).toEqual(Array.from({ length: 10 }, (_, i) => [i, IBV_WC_SUCCESS, 60]));
    expect(bytesOf(b).slice(0, 50)).toEqual(pattern(SIZE, 1).slice(450, 500));
    finish(api, all);
  });

  it('without sqSigAll a success is told only when asked, a failure always', () => {
    const a = node(api, 1);
    const qp = api.createQp(a.pd, a.cq, a.cq, { sqSigAll: false });
    const all = pair(api, { ...a, qp }, node(api, 2));
    const { mrA, mrB } = all;
    api.postSend(qp, write(1, mrA, 10, mrB));
    api.postSend(qp, { ...write(2, mrA, 10, mrB), sendFlags: IBV_SEND_SIGNALED });
    api.postSend(qp, { ...write(3, mrA, 10, mrB), rkey: 0 });
    settle(a);
    expect(drain(api, a.cq)).toEqual([
      [2, IBV_WC_SUCCESS, 10],
      [3, IBV_WC_REM_ACCESS_ERR, 0],
    ]);
    api.destroyQp(a.qp);
    finish(api, all);
  });
});

describe.each(builds)('%s build: faults put the queue pair into error', (_name, api) => {
  /** `bad` between two good writes: how the three end, and the states of both sides then. */
  function outcome(
    bad: (all: Pair) => SendWr,
    access = ALL,
  ): { a: number[]; b: number[]; states: number[]; all: Pair } {
    const all = pair(api, node(api, 1), node(api, 2), access);
    const { a, b, mrA, mrB } = all;
    const good = { ...write(0, mrA, 10, mrB), opcode: IBV_WR_SEND, sgList: [piece(mrA, 0, 0)] };
    for (let i = 0; i < 3; i++) api.postRecv(b.qp, { wrId: i, sgList: [piece(mrB, 0, 20)] });
    for (const wr of [good, bad(all), good]) expect(api.postSend(a.qp, wr)).toBe(0);
    settle(a, b);
    const statuses = ([, status]: number[]): number => status!;
    const result = { a: drain(api, a.cq).map(statuses), b: drain(api, b.cq).map(statuses) };
    return { ...result, states: [a.qp.state, b.qp.state], all };
  }

  const FLUSH = IBV_WC_WR_FLUSH_ERR;
  type Case = [string, number, (all: Pair) => SendWr, number?];
  const remote: Case[] = [
    ['a remote key that is none', IBV_WC_REM_ACCESS_ERR, ({ mrA, mrB }) => ({ ...write(1, mrA, 9, mrB), rkey: 5 })],
    [
      'a remote key of a region that is gone',
      IBV_WC_REM_ACCESS_ERR,
      ({ mrA, mrB, b }) => {
        const gone = reg(api, b.pd, b.address, 10, ALL);
        api.deregMr(gone);
        return { ...write(1, mrA, 9, mrB), rkey: gone.key };
      },
    ],
    [
      'a remote key of another domain',
      IBV_WC_REM_ACCESS_ERR,
      ({ mrA, mrB, b }) => {
        const other = reg(api, api.allocPd(b.device, b.process), b.address, 10, ALL);
        return { ...write(1, mrA, 9, mrB), rkey: other.key };
      },
    ],
    [
      'a byte beyond the remote region',
      IBV_WC_REM_ACCESS_ERR,
      ({ mrA, mrB }) => ({ ...write(1, mrA, 9, mrB), remoteAddr: mrB.address + SIZE - 8 }),
    ],
    [
      'a byte before the remote region',
      IBV_WC_REM_ACCESS_ERR,
      ({ mrA, mrB }) => ({ ...write(1, mrA, 9, mrB), remoteAddr: mrB.address - 1 }),
    ],
    [
      'a write to a region without IBV_ACCESS_REMOTE_WRITE',
      IBV_WC_REM_ACCESS_ERR,
      ({ mrA, mrB }) => write(1, mrA, 9, mrB),
      IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ,
    ],
    [
      'a read from a region without IBV_ACCESS_REMOTE_READ',
      IBV_WC_REM_ACCESS_ERR,
      ({ mrA, mrB }) => ({ ...write(1, mrA, 9, mrB), opcode: IBV_WR_RDMA_READ }),
      IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE,
    ],
  ];
  it.each(remote)('%s: both sides; the rest is flushed', (_what, status, bad, access) => {
    const { a, b, states, all } = outcome(bad, access);
    expect(a).toEqual([IBV_WC_SUCCESS, status, FLUSH]);
    expect(b).toEqual([IBV_WC_SUCCESS, FLUSH, FLUSH]);
    expect(states).toEqual([IBV_QPS_ERR, IBV_QPS_ERR]);
    expect(bytesOf(all.b)).toEqual(pattern(SIZE, 2));
    expect(bytesOf(all.a)).toEqual(pattern(SIZE, 1));
  });

  const local: Case[] = [
    [
      'a local key that is none',
      IBV_WC_LOC_PROT_ERR,
      ({ mrA, mrB }) => ({ ...write(1, mrA, 9, mrB), sgList: [{ ...piece(mrA, 0, 9), lkey: mrA.key ^ 1 }] }),
    ],
    [
      'a local key of another domain',
      IBV_WC_LOC_PROT_ERR,
      ({ mrA, mrB, a }) => {
        const other = reg(api, api.allocPd(a.device, a.process), a.address, 10, ALL);
        return { ...write(1, mrA, 9, mrB), sgList: [piece(other, 0, 9)] };
      },
    ],
    [
      'a byte beyond the local region',
      IBV_WC_LOC_PROT_ERR,
      ({ mrA, mrB }) => ({ ...write(1, mrA, 9, mrB), sgList: [piece(mrA, 0, 5), piece(mrA, SIZE - 1, 2)] }),
    ],
    [
      'a message longer than there may be',
      IBV_WC_LOC_LEN_ERR,
      ({ mrA, mrB }) => ({ ...write(1, mrA, 9, mrB), sgList: [piece(mrA, 0, 2 ** 31), piece(mrA, 0, 1)] }),
    ],
    [
      'a read into a region without IBV_ACCESS_LOCAL_WRITE',
      IBV_WC_LOC_PROT_ERR,
      ({ mrA, mrB }) => ({ ...write(1, mrA, 9, mrB), opcode: IBV_WR_RDMA_READ }),
      IBV_ACCESS_REMOTE_READ,
    ],
  ];
  it.each(local)('%s: this side only', (_what, status, bad, access) => {
    const { a, states, all } = outcome(bad, access);
    expect(a).toEqual([IBV_WC_SUCCESS, status, FLUSH]);
    expect(states).toEqual([IBV_QPS_ERR, IBV_QPS_RTS]);
    expect(bytesOf(all.b)).toEqual(pattern(SIZE, 2));
    expect(bytesOf(all.a)).toEqual(pattern(SIZE, 1));
  });

  const ten = (all: Pair, length: number): SendWr => ({
    wrId: 1,
    opcode: IBV_WR_SEND,
    sgList: [piece(all.mrA, 0, length)],
  });
  it('a message longer than the receive: invalid request here, a length error there', () => {
    const { a, b, states } = outcome((all) => ten(all, 21));
    expect(a).toEqual([IBV_WC_SUCCESS, IBV_WC_REM_INV_REQ_ERR, FLUSH]);
    expect(b).toEqual([IBV_WC_SUCCESS, IBV_WC_LOC_LEN_ERR, FLUSH]);
    expect(states).toEqual([IBV_QPS_ERR, IBV_QPS_ERR]);
  });

  it('a receive that names memory without IBV_ACCESS_LOCAL_WRITE: an operation error here, a protection error there', () => {
    const { a, b, states } = outcome((all) => ten(all, 20), IBV_ACCESS_REMOTE_READ);
    expect(a).toEqual([IBV_WC_SUCCESS, IBV_WC_REM_OP_ERR, FLUSH]);
    expect(b).toEqual([IBV_WC_SUCCESS, IBV_WC_LOC_PROT_ERR, FLUSH]);
    expect(states).toEqual([IBV_QPS_ERR, IBV_QPS_ERR]);
  });

  it('no receive posted: not ready, the other side stays as it is', () => {
    const all = pair(api, node(api, 1), node(api, 2));
    const { a, b } = all;
    api.postSend(a.qp, ten(all, 10));
    expect(next(api, a).status).toBe(IBV_WC_RNR_RETRY_EXC_ERR);
    expect([a.qp.state, b.qp.state]).toEqual([IBV_QPS_ERR, IBV_QPS_RTS]);
    finish(api, all);
  });

  it('the other queue pair is in error or gone: no answer', () => {
    for (const end of [(b: Node) => api.modifyQp(b.qp, IBV_QPS_ERR), (b: Node) => api.destroyQp(b.qp)]) {
      const { a, b, mrA, mrB } = pair(api, node(api, 1), node(api, 2));
      end(b);
      api.postSend(a.qp, write(1, mrA, 10, mrB));
      expect(next(api, a).status).toBe(IBV_WC_RETRY_EXC_ERR);
      expect(bytesOf(b)).toEqual(pattern(SIZE, 2));
    }
  });

  it('in error both queues flush what is posted, at once', () => {
    const { a, mrA, mrB } = pair(api, node(api, 1), node(api, 2));
    expect(api.modifyQp(a.qp, IBV_QPS_ERR)).toBe(0);
    expect(api.postSend(a.qp, write(1, mrA, 10, mrB))).toBe(0);
    expect(api.postRecv(a.qp, { wrId: 2, sgList: [] })).toBe(0);
    expect(drain(api, a.cq)).toEqual([
      [1, FLUSH, 0],
      [2, FLUSH, 0],
    ]);
    expect(a.machine.sched.events).toEqual([]);
  });

  it('a failed request waits for those before it, those after it are not begun', () => {
    const { a, b, mrA, mrB } = pair(api, node(api, 1), node(api, 2));
    api.postSend(a.qp, write(1, mrA, 10, mrB));
    api.postSend(a.qp, { ...write(2, mrA, 10, mrB), sgList: [piece(mrA, SIZE, 1)] });
    api.postSend(a.qp, { ...write(3, mrA, 10, mrB), remoteAddr: mrB.address + 100 });
    // The adapter looks at 1 and 2; the write of 1 is still on its way.
    runPending(a.machine.sched);
    runPending(a.machine.sched);
    expect([drain(api, a.cq), a.qp.state]).toEqual([[], IBV_QPS_RTS]);
    api.postSend(a.qp, write(4, mrA, 10, mrB));
    settle(a);
    expect(drain(api, a.cq)).toEqual([
      [1, IBV_WC_SUCCESS, 10],
      [2, IBV_WC_LOC_PROT_ERR, 0],
      [3, FLUSH, 0],
      [4, FLUSH, 0],
    ]);
    expect(bytesOf(b).slice(0, 10)).toEqual(pattern(10, 1));
    expect(bytesOf(b).slice(10)).toEqual(pattern(SIZE, 2).slice(10));
  });

  it('a flushed request may have been carried out: what is under way arrives', () => {
    const { a, b, mrA, mrB } = pair(api, node(api, 1), node(api, 2));
    api.postSend(a.qp, write(1, mrA, 10, mrB));
    runPending(a.machine.sched);
    api.modifyQp(a.qp, IBV_QPS_ERR);
    expect(drain(api, a.cq)).toEqual([[1, FLUSH, 0]]);
    settle(a);
    expect(drain(api, a.cq)).toEqual([]);
    expect(bytesOf(b).slice(0, 10)).toEqual(pattern(10, 1));
  });

  it('the answer to a read that was flushed moves no byte', () => {
    const { a, b, mrA, mrB } = pair(api, node(api, 1), node(api, 2));
    api.postSend(a.qp, { ...write(1, mrA, 10, mrB), opcode: IBV_WR_RDMA_READ });
    runPending(a.machine.sched);
    api.modifyQp(a.qp, IBV_QPS_RESET);
    settle(a);
    expect(bytesOf(a)).toEqual(pattern(SIZE, 1));
    expect([drain(api, a.cq), b.qp.state]).toEqual([[], IBV_QPS_RTS]);
  });
});

describe.each(builds)('%s build: states of a queue pair', (_name, api) => {
  it('RESET takes nothing, INIT receives, RTS both', () => {
    const { qp } = node(api, 1);
    const send = { wrId: 1, opcode: IBV_WR_SEND, sgList: [] };
    const recv = { wrId: 1, sgList: [] };
    expect([qp.state, api.postSend(qp, send), api.postRecv(qp, recv)]).toEqual([IBV_QPS_RESET, -EINVAL, -EINVAL]);
    expect(api.modifyQp(qp, IBV_QPS_INIT)).toBe(0);
    expect([qp.state, api.postSend(qp, send), api.postRecv(qp, recv)]).toEqual([IBV_QPS_INIT, -EINVAL, 0]);
    expect(api.connectLoopback(qp, node(api, 2).qp)).toBe(0);
    expect([qp.state, api.postSend(qp, send), api.postRecv(qp, recv)]).toEqual([IBV_QPS_RTS, 0, 0]);
    expect(qp.receives.length).toBe(2);
  });

  it('changes that are none are -EINVAL and change nothing', () => {
    const { qp } = node(api, 1);
    expect([IBV_QPS_RTS, 2, 99].map((state) => api.modifyQp(qp, state))).toEqual([-EINVAL, -EINVAL, -EINVAL]);
    api.modifyQp(qp, IBV_QPS_ERR);
    expect(api.modifyQp(qp, IBV_QPS_INIT)).toBe(-EINVAL);
    const fresh = node(api, 2).qp;
    expect([api.connectLoopback(qp, fresh), api.connectLoopback(fresh, qp)]).toEqual([-EINVAL, -EINVAL]);
    expect(api.connectQp(qp, { send() {}, close() {} })).toBe(-EINVAL);
    expect([qp.state, fresh.state, fresh.transport]).toEqual([IBV_QPS_ERR, IBV_QPS_RESET, null]);
  });

  it('RESET forgets all work without a word, and the queue pair can be used again', () => {
    const { a, b, mrA, mrB } = pair(api, node(api, 1), node(api, 2));
    api.postRecv(a.qp, { wrId: 5, sgList: [] });
    api.postSend(a.qp, write(1, mrA, 10, mrB));
    for (const { qp } of [a, b]) expect(api.modifyQp(qp, IBV_QPS_RESET)).toBe(0);
    settle(a, b);
    expect([drain(api, a.cq), a.qp.receives, a.qp.sends]).toEqual([[], [], []]);
    expect(bytesOf(b)).toEqual(pattern(SIZE, 2));
    expect(api.connectLoopback(a.qp, b.qp)).toBe(0);
    api.postSend(a.qp, write(2, mrA, 10, mrB));
    expect(next(api, a)).toMatchObject({ wrId: 2, status: IBV_WC_SUCCESS });
  });

  it('the transport is told once, when the queue pair fails, is reset or destroyed', () => {
    const ends = [
      (qp: QueuePair) => api.modifyQp(qp, IBV_QPS_ERR),
      (qp: QueuePair) => api.modifyQp(qp, IBV_QPS_RESET),
      (qp: QueuePair) => api.destroyQp(qp),
    ];
    for (const end of ends) {
      const { qp } = node(api, 1);
      let closed = 0;
      expect(api.connectQp(qp, { send() {}, close: () => closed++ })).toBe(0);
      end(qp);
      api.modifyQp(qp, IBV_QPS_ERR);
      expect(closed).toBe(1);
    }
  });

  it('a transport may end requests in any order: they are told in the order posted', () => {
    const { qp, cq, machine } = node(api, 1);
    const sent: SendRequest[] = [];
    api.connectQp(qp, { send: (_qp, request) => sent.push(request), close() {} });
    for (let wrId = 0; wrId < 4; wrId++) api.postSend(qp, { wrId, opcode: IBV_WR_SEND, sgList: [] });
    while (runPending(machine.sched));
    api.completeSend(qp, sent[1]!, IBV_WC_SUCCESS);
    api.completeSend(qp, sent[2]!, IBV_WC_RETRY_EXC_ERR);
    expect(drain(api, cq)).toEqual([]);
    api.completeSend(qp, sent[0]!, IBV_WC_SUCCESS);
    expect(drain(api, cq)).toEqual([
      [0, IBV_WC_SUCCESS, 0],
      [1, IBV_WC_SUCCESS, 0],
      [2, IBV_WC_RETRY_EXC_ERR, 0],
      [3, IBV_WC_WR_FLUSH_ERR, 0],
    ]);
    api.completeSend(qp, sent[3]!, IBV_WC_SUCCESS);
    expect(drain(api, cq)).toEqual([]);
  });

  it('a full queue is -ENOMEM, unknown work is -EINVAL; nothing is posted', () => {
    const { pd, cq } = node(api, 1);
    const qp = api.createQp(pd, cq, cq, { maxSendWr: 1, maxRecvWr: 1 });
    api.connectLoopback(qp, node(api, 2).qp);
    const send = { wrId: 1, opcode: IBV_WR_SEND, sgList: [] };
    expect([api.postSend(qp, send), api.postSend(qp, send)]).toEqual([0, -ENOMEM]);
    expect([api.postRecv(qp, send), api.postRecv(qp, send)]).toEqual([0, -ENOMEM]);
    expect(api.postSend(qp, { ...send, opcode: 1 })).toBe(-EINVAL);
    expect(api.postSend(qp, { ...send, sendFlags: 8 })).toBe(-EINVAL);
    expect(thrown(() => api.postSend(qp, { ...send, wrId: -1 }))).toBe('RangeError');
    expect(thrown(() => api.postSend(qp, { ...send, rkey: 2 ** 32 }))).toBe('RangeError');
    expect(thrown(() => api.postSend(qp, { ...send, sgList: [{ addr: 0.5, length: 0, lkey: 0 }] }))).toBe('RangeError');
    expect(thrown(() => api.postRecv(qp, { ...send, sgList: [{ addr: 0, length: -1, lkey: 0 }] }))).toBe('RangeError');
    expect(qp.sends.length + qp.receives.length).toBe(2);
  });

  it('misuse: queues of another device, a second end, a receive completed that nobody posted', () => {
    const { pd, cq, qp } = node(api, 1);
    const other = node(api, 2);
    expect(thrown(() => api.createQp(pd, cq, other.cq))).toBe('WRONG_DEVICE');
    expect(thrown(() => api.createQp(pd, cq, cq, { maxSendWr: -1 }))).toBe('RangeError');
    expect(thrown(() => api.completeReceive(qp, IBV_WC_SUCCESS, 0))).toBe('NO_RECEIVE');
    expect([pd.users, cq.users]).toEqual([1, 2]);
    api.destroyQp(qp);
    expect(thrown(() => api.destroyQp(qp))).toBe('QP_GONE');
    expect([pd.users, cq.users]).toEqual([0, 0]);
  });
});

describe.each(builds)('%s build: completion queues', (_name, api) => {
  it('ibv_poll_cq(3): an overrun makes the queue useless, and puts every queue pair that reports there into error', () => {
    const a = node(api, 1);
    const cq = api.createCq(a.device, 2);
    const qp = api.createQp(a.pd, cq, a.cq);
    const bystander = api.createQp(a.pd, a.cq, a.cq);
    const receiver = api.createQp(a.pd, a.cq, cq);
    const b = node(api, 2);
    const { mrA, mrB } = pair(api, { ...a, qp }, b);
    for (let i = 0; i < 3; i++) api.postSend(qp, write(i, mrA, 1, mrB));
    settle(a);
    expect(api.pollCq(cq, 1, [])).toBe(-EIO);
    expect([qp, bystander, receiver].map(({ state }) => state)).toEqual([IBV_QPS_ERR, IBV_QPS_RESET, IBV_QPS_ERR]);
    api.waitCq(cq);
    expect(api.pollCq(a.cq, 1, [])).toBe(0);
  });

  it('polling takes the oldest, as many as asked; it does not wait', () => {
    const { a, mrA, mrB } = pair(api, node(api, 1), node(api, 2));
    for (let i = 0; i < 3; i++) api.postSend(a.qp, write(i, mrA, 1, mrB));
    const into = [next(api, a)];
    settle(a);
    expect(api.pollCq(a.cq, 1, into)).toBe(1);
    expect(api.pollCq(a.cq, 9, into)).toBe(1);
    expect(api.pollCq(a.cq, 9, into)).toBe(0);
    expect(into.map(({ wrId }) => wrId)).toEqual([0, 1, 2]);
  });

  it('a queue stays while queue pairs report to it: -EBUSY', () => {
    const { cq, qp, device } = node(api, 1);
    expect(api.destroyCq(cq)).toBe(-EBUSY);
    api.destroyQp(qp);
    expect(api.destroyCq(cq)).toBe(0);
    expect(thrown(() => api.createCq(device, 0))).toBe('RangeError');
    expect(thrown(() => api.pollCq(cq, 0, []))).toBe('RangeError');
  });

  it('waiting for what never comes is a deadlock', () => {
    const { cq } = node(api, 1);
    expect(thrown(() => api.waitCq(cq))).toBe('DEADLOCK');
  });
});
