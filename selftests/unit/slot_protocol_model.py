#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Exhaustive check of the slot protocol (Documentation/design.rst), all interleavings under x86-TSO, small bounds.  TAP.

Model                                           Code
  word[r]  record word: bit 0 = stale, then two  kmod/record.c: the word that user space maps read-only.  2 bits for each
           bits for each slot, as in PKRU         donated key; a cleared AD bit = open, so mask, PKRU and validity are one
  dead     revoked records                       kmod/record.c: the word is stale for good; ids are never reused
  key[o]   slot of object o's page, -1 = SAFE    kmod/slot.c (page set of a slot) and the PTEs; a rekey is zap + insert
  tlb[o]   slots that a TLB may still show       the flush of that zap
  K        the owner of the arena mutex, one     kmod/slot.c bind (pc 0 choose and mark stale, 1 IPI, 2 scan, 3 SAFE and
           step at a time                         flush, 4 key; 0 again publishes), wait(); kmod/grant.c revoke; kmod/fault.c
  cur, out held word and OUTER of a line, as the  kmod/line.c: read by the scan.  -1 = nothing open, not in foreign mode.
           other CPUs see them                    OUTER = AND of what interrupted frames hold, written on the nested path only
  buf      the store buffer of the thread's CPU  plain stores of lib/gate_x86_64.S
  flag     wake flag of a line                   kmod/line.c sets and clears it, the gate only reads it
  rec      record id in the line                 lib/gate_x86_64.S stores it, kmod/fault.c reads it
  pkru     None in trusted mode (all open)       the live PKRU of a thread in foreign mode
  frames   calls 'c' and signal handlers 's'     trusted stacks: saved held word and OUTER, sigframe PKRU (image)
Gate:  load (word, bit 0 cleared), [outer,] store, compare (and open), foreign, close (and store back), [close2,] look.
       A callback closes, and its return acquires again from load on.  unwind = recovery from the SIGSEGV handler.
Fault: SIGSEGV, ioctl FAULT in three parts as kmod/fault.c has them: judge (verdict by rec; the line lets go), io (as BIND),
       take (under the mutex: if the word is valid, it is what the line holds); freturn puts it into the frame's PKRU.
Merged steps are those where merging only lets foreign code run open for longer (compare + open, close + store).
Not modelled: domain-wide grants of workers and serving a grant by interposition (no code yet), the reserve slot for
callback returns (a callback return or fault that finds no slot and must not wait unwinds with FFG_E_BUSY; FAULT waits only
at depth 0), the fork child beyond a store to its line (it has no arena), reuse of lines and of objects, fairness.
Slots are chosen in all possible ways, so the result does not depend on the policy in kmod/slot.c.

Properties, in every state
  S1  no thread in foreign mode has an object open that was revoked from its call (revoke has returned)
  S2  ... nor one that was never granted to it, nor an IN grant for writing
  A1  a valid grant of the running call is open or the fault path brings it back: it is never taken for a violation
  R1  the line's record is that of the running call; after the last call the line holds nothing
  L1  all programs can still end, without a time-out except where bounded=True (no deadlock, no lost wake-up)
Test 1..n: all rules on, one configuration each.  Then one test for each rule: removed, it has to break its property.
"""
import argparse
import sys
import time
from collections import namedtuple

sys.dont_write_bytecode = True
from slot_protocol_cases import IN, INOUT, RULES, Rec, configs  # noqa: E402

Fr = namedtuple('Fr', 'kind rid pc stage w saved sout image o', defaults=('', 0, 0, None, None, None, 0))
Th = namedtuple('Th', 'alive pos frames pkru cur out buf rec att flag sigs')
Op = namedtuple('Op', 'tid op pc rid ev v i tried grp half', defaults=(0, 0, 0, 0, 0, 0, (), -1))
St = namedtuple('St', 'word dead key tlb K T M evt kills ghost')
CAP = 2


def rep(tup, i, v):
    return tup[:i] + (v,) + tup[i + 1:]


def bits(m):
    return [i for i in range(m.bit_length()) if m >> i & 1]


class Model:
    def __init__(self, cfg, off=()):
        self.c, self.off, self.errs = cfg, set(off), []
        self.rules = {r: r not in self.off for r in RULES}
        self.none = (1 << 2 * cfg.slots + 2) - 1        # -1: nothing open, not in foreign mode
        self.base = self.none & ~3                      # foreign mode, no slot open
        self.grants = {r: dict(R.grants) for r, R in cfg.recs.items()}
        self.ids = sorted(cfg.recs)
        self.at = {r: i for i, r in enumerate(self.ids)}

    # ---- words
    def held(self, v):                                  # slots that a PKRU or held value opens
        return sum(1 << s for s in range(self.c.slots) if not v >> 2 * s + 2 & 1)

    def pages(self, st, s):
        return [o for o in range(self.c.objs) if st.key[o] == s]

    def fits(self, st, rid, s):                         # right with which record rid may open slot s, 0 = not at all
        g, on = self.grants[rid], self.rules
        p = self.pages(st, s)
        rs = {g[o] for o in p if o in g}
        if not rs or on['subset'] and any(o not in g for o in p) or on['rights'] and len(rs) > 1:
            return 0
        return max(rs)

    def plan(self, st, rid):                            # (word, objects that still need a slot, slots in use by it)
        w, got, mine = self.base, set(), 0
        for s in range(self.c.slots):
            r = self.fits(st, rid, s)
            if r:
                w &= ~((3 if r == INOUT or not self.rules['writedis'] else 1) << 2 * s + 2)
                got.update(self.pages(st, s))
                mine |= 1 << s
        return w, [o for o in self.grants[rid] if o not in got], mine

    def opened(self, st, pkru, o):                      # 0, IN or INOUT
        best = 0
        for s in range(self.c.slots):
            if (st.key[o] == s or st.tlb[o] >> s & 1) and not pkru >> 2 * s + 2 & 1:
                best = max(best, IN if pkru >> 2 * s + 3 & 1 else INOUT)
        return best

    def word(self, st, rid):
        return st.word[self.at[self.lives(st, rid)]]

    def lives(self, st, rid):                           # the record that an id in a line leads to
        if not self.rules['recordid'] and st.dead >> rid & 1:
            return next((r for r in self.ids if self.c.recs[r].reuses == rid), rid)
        return rid

    def initial(self):
        c, n = self.c, self.none
        key = [-1] * c.objs
        for s, objs in c.init.items():
            for o in objs:
                key[o] = s
        T = tuple(Th(2 if i in c.unborn else 1, 0, (), None, n, n, (), 0, i not in c.unatt and i not in c.unborn, 0,
                     c.sig.get(i, (0, 0))[0]) for i in range(len(c.progs)))
        st = St((), 0, tuple(key), (0,) * c.objs, None, T, -1, 0, c.kills, -1)
        word = []
        for r in self.ids:
            w, need, _ = self.plan(st, r)
            word.append(self.base | 1 if need else w)
        return st._replace(word=tuple(word))

    # ---- properties
    def bad(self, st):
        errs = []
        for i, t in enumerate(st.T):
            if t.alive != 1 or t.pkru is None:
                continue
            f = t.frames[-1] if t.frames else None
            rid = f.rid if f else 0
            g = self.grants.get(rid, {})
            gone = rid and st.dead >> rid & 1 and not (st.K and st.K.op == 'rev' and st.K.rid == rid)
            for o in range(self.c.objs):
                r = self.opened(st, t.pkru, o)
                if r and gone and o in g:
                    errs.append(('S1', 't%d has object %d open, which was revoked' % (i, o)))
                elif r > g.get(o, 0):
                    errs.append(('S2', 't%d has object %d open for %s' % (i, o, 'writing, granted IN' if o in g else 'use, never granted')))
            if f and t.rec != rid:
                errs.append(('R1', 't%d runs record %d, its line says %d' % (i, rid, t.rec)))
        return errs

    def done(self, st):
        return st.K is None and all(t.alive != 1 or i in self.c.unborn or
                                    (not t.frames and not t.buf and t.pos == len(self.c.progs[i])) for i, t in enumerate(st.T))

    # ---- helpers
    @staticmethod
    def local(t, which):                                # store forwarding
        for a, v in reversed(t.buf):
            if a == which:
                return v
        return t.out if which else t.cur

    @staticmethod
    def drain(t):
        for a, v in t.buf:
            t = t._replace(**{'out' if a else 'cur': v})
        return t._replace(buf=()) if t.buf else t

    @staticmethod
    def wake(T):
        return tuple(t._replace(frames=t.frames[:-1] + (t.frames[-1]._replace(pc='io'),))
                     if t.frames and t.frames[-1].pc == 'sleep' else t for t in T)

    @staticmethod
    def below(t):                                       # the record of the next call frame down
        for f in reversed(t.frames[:-1]):
            if f.kind == 'c':
                return f.rid
        return 0

    def pop(self, t):
        return t._replace(frames=t.frames[:-1], rec=self.below(t) if self.rules['recrest'] else t.rec)

    # ---- all successors of a state
    def succ(self, st):
        self.out = out = []
        self.errs = []
        for i, t in enumerate(st.T):
            if t.alive == 1 or t.alive == 0 and t.frames:
                self.thread(st, i, t, out)
        if st.K:
            self.kernel(st, out)
        if st.ghost >= 0 and not self.rules['dontfork']:
            p = st.T[st.ghost]
            out.append(('fork child leaves the gate, stores -1', st._replace(T=rep(st.T, st.ghost, p._replace(cur=self.none)), ghost=-1)))
        return out

    def thread(self, st, i, t, out):
        c, on, none = self.c, self.rules, self.none
        f = t.frames[-1] if t.frames else None

        def go(label, u, **kw):
            out.append(('t%d %s' % (i, label), st._replace(T=rep(kw.pop('T', st.T), i, u), **kw)))

        def top(pc, **kw):
            return t.frames[:-1] + (f._replace(pc=pc, **kw),)

        def push(label, which, val, frames, **kw):
            if len(t.buf) < CAP:
                go('%s %s=%s' % (label, 'OUTER' if which else 'held', self.show(val)), t._replace(buf=t.buf + ((which, val),), frames=frames, **kw))

        if t.alive == 0:
            if st.K is None or not on['wakelock']:
                go('exit wakes', t._replace(frames=()), T=self.wake(st.T))
            return
        if t.buf:
            a, v = t.buf[0]
            go('drains %s=%s' % ('OUTER' if a else 'held', self.show(v)), t._replace(buf=t.buf[1:], **{'out' if a else 'cur': v}))
        if f and f.pc == 'k':
            return
        if st.kills and f:
            u = self.drain(t)._replace(alive=0, frames=(Fr('x', 0),) if on['exitwake'] else (), pkru=None)
            go('is killed', u, kills=st.kills - 1)
        asks = f and f.image is not None and f.pc in ('io', 'take', 'sleep')    # inside FAULT, or asleep there
        if t.sigs and f and (not asks or f.pc == 'sleep'):
            fs, u = t.frames, t
            if f.pc == 'sleep':                         # EINTR; FAULT opens nothing then, and the touch faults again
                fs = fs[:-1] + (f._replace(pc='freturn', w=self.base) if asks else f._replace(pc='io'),)
                u = self.drain(t)._replace(cur=self.base) if asks else t
            h = (Fr('c', c.sig[i][1], 'load'),) if c.sig[i][1] else ()
            go('signal', u._replace(frames=fs + (Fr('s', 0, image=t.pkru),) + h, pkru=None, sigs=t.sigs - 1))
        if i not in c.unborn and not t.att and st.K is None and (not f if on['attach'] else t.pos):
            go('ioctl ATTACH', self.drain(t)._replace(att=True))
        if not f:
            if t.pos < len(c.progs[i]) and (t.att or not on['attach']):
                item = c.progs[i][t.pos]
                if isinstance(item, tuple):
                    if st.K is None:
                        u = self.drain(t)._replace(frames=(Fr('r', 0, 'k'),))
                        go('ioctl REVOKE %d' % item[1], u, K=Op(i, 'rev', 0, item[1]))
                else:
                    go('calls with record %d' % item, t._replace(frames=(Fr('c', item, 'load'),), pos=t.pos + 1))
            return
        if f.kind == 's':
            if not f.pc:
                go('sigreturn', t._replace(frames=t.frames[:-1], pkru=f.image))
                for o in self.grants.get(t.rec, {}) if f.image is not None and not f.w and not on['faultframe'] else ():
                    go('handler touches object %d: fault' % o, t._replace(frames=top('judge', o=o)))
                return
        R, flt = c.recs.get(f.rid, Rec(())), f.image is not None
        nested = f.saved is not None and f.saved != none and on['nest']
        if f.pc == 'load':
            kw = {} if f.stage else dict(saved=self.local(t, 0), sout=self.local(t, 1))
            w = self.word(st, f.rid) & ~1
            deep = kw.get('saved', f.saved) != none and on['nest']
            go('loads word %s' % self.show(w), t._replace(rec=f.rid, frames=top('outer' if deep else 'store', w=w, **kw)))
        elif f.pc == 'outer':
            push('nests', 1, f.sout & f.saved, top('store' if on['hold'] else 'compare'))
        elif f.pc == 'store':
            if on['hold']:
                push('stores', 0, f.w, top('compare'))
            elif self.word(st, f.rid) == f.w:
                go('compares first', t._replace(frames=top('late')))
            else:
                go('compare: stale', t._replace(frames=top('io')))
        elif f.pc == 'late':
            push('then opens, stores', 0, f.w, top('foreign'), pkru=f.w)
        elif f.pc == 'compare':
            if self.word(st, f.rid) == f.w or not on['compare'] and not f.w & 1 and self.held(f.w):
                if on['oneword']:
                    go('word is the same, opens %s' % self.show(f.w), t._replace(pkru=f.w, frames=top('foreign')))
                else:
                    go('word is the same', t._replace(frames=top('reload')))
            else:
                go('word is stale', t._replace(frames=top('backoff')))
        elif f.pc == 'reload':
            w = self.word(st, f.rid) & ~1
            go('opens second word %s' % self.show(w), t._replace(pkru=w, frames=top('foreign')))
        elif f.pc == 'backoff':
            push('backs off', 0, f.saved, top('backoff2' if nested else 'io'))
        elif f.pc == 'backoff2':
            push('backs off', 1, f.sout, top('io'))
        elif f.pc == 'io' and st.K is None:
            T, u = st.T, self.drain(t)
            if t.flag and on['bowake']:
                T, u = self.wake(T), u._replace(flag=0)
            rid = self.lives(st, t.rec if flt else f.rid)
            go('%s record %d' % ('FAULT binds' if flt else 'ioctl BIND', rid), u._replace(frames=top('k')), T=T, K=Op(i, 'bind', 0, rid))
        elif f.pc == 'judge' and st.K is None:          # ioctl FAULT
            rid, u = self.lives(st, t.rec), self.drain(t)
            if f.o < 0 or on['faultvalid'] and (st.dead >> rid & 1 or f.o not in self.grants.get(rid, {})):
                if not st.dead >> f.rid & 1 and f.o in self.grants.get(f.rid, {}):
                    self.errs.append(('A1', 'fault of t%d on object %d, granted, is taken for a violation' % (i, f.o)))
                go('ioctl FAULT: violation', self.fail(u, f))
            else:
                go('ioctl FAULT: valid', u._replace(frames=top('io'), **({'cur': none} if on['faultrelease'] else {})))
        elif f.pc == 'take' and st.K is None:
            w = self.word(st, t.rec)
            if w & 1 and on['faultcompare']:
                go('FAULT: stale again', t._replace(frames=top('io')))
            else:
                w &= ~1
                go('FAULT returns %s' % self.show(w), self.drain(t)._replace(frames=top('freturn', w=w), **({'cur': w} if on['faulthold'] else {})))
        elif f.pc == 'sleep' and c.bounded and on['bounded']:
            go('wait times out', self.fail(t, f), evt=st.evt | R.sets)
        elif f.pc == 'foreign':
            self.foreign(st, i, t, f, R, go, top)
        elif f.pc == 'freturn':
            pk = f.w if on['faultimage'] else f.image & f.w
            if f.kind == 's':
                go('fault handler returns to the handler', t._replace(frames=top('', w=1)))
                return
            go('fault handler returns, PKRU %s' % self.show(pk), t._replace(pkru=pk, frames=top('foreign', image=None, o=0)))
        elif f.pc == 'unwind':
            v = f.saved if on['unwindrestore'] else none
            nxt = 'unwind2' if nested else 'look'
            if on['unwindclose']:
                push('unwinds', 0, v, top(nxt, image=None, stage=4))
            else:
                push('unwinds, frame PKRU still open,', 0, v, top('unwind1', stage=4), pkru=f.image)
        elif f.pc == 'unwind1':
            go('closes', t._replace(pkru=None, frames=top('unwind2' if nested else 'look', image=None)))
        elif f.pc == 'unwind2':
            push('unwinds', 1, f.sout, top('look'))
        elif f.pc == 'close':
            v = f.saved if on['restore'] else none
            nxt = 'close2' if nested else 'look'
            if f.stage == 2 and not on['callbackrelease']:
                go('callback entry keeps held', t._replace(pkru=None, frames=top('look')))
            elif nested and not on['nestorder']:
                push('closes,', 1, f.sout, top('close4'), pkru=None)
            elif on['close']:
                push('closes, stores', 0, v, top(nxt), pkru=None)
            else:
                push('stores', 0, v, top('close3'))
        elif f.pc == 'close2':
            push('stores', 1, f.sout, top('look'))
        elif f.pc == 'close3':
            go('closes', t._replace(pkru=None, frames=top('close2' if nested else 'look')))
        elif f.pc == 'close4':
            push('stores', 0, f.saved, top('look'))
        elif f.pc == 'look':
            if t.flag and on['wake']:
                go('wake flag is set', t._replace(frames=top('wake')))
            else:
                self.leave(st, i, t, f, R, go, top, st.T)
        elif f.pc == 'wake' and (st.K is None or not on['wakelock']):
            t = self.drain(t)._replace(flag=0) if on['wakelock'] else t._replace(flag=0)
            self.leave(st, i, t, f, R, go, top, self.wake(st.T))
        elif f.pc == 'callback':
            if on['reacquire']:
                go('callback returns', t._replace(frames=top('load', stage=3)))
            else:
                push('callback returns, opens,', 0, f.w, top('foreign', stage=3), pkru=f.w, rec=f.rid)
        elif f.pc == 'nothing':                         # the record died during the callback
            push('callback returns to nothing,', 0, self.base, top('foreign'), pkru=self.base)

    def leave(self, st, i, t, f, R, go, top, T):
        label = 'wakes' if f.pc == 'wake' else 'no wake flag'
        if f.stage == 2:
            go(label + ', runs the callback', t._replace(frames=top('callback') + ((Fr('c', R.cb, 'load'),) if R.cb > 0 else ())), T=T)
        else:
            go(label + ', call ends', self.pop(t), T=T, M=-1 if R.lock and st.M == i else st.M)

    def fail(self, t, f):                               # FFG_E_BUSY or a dead record
        if f.kind == 's':
            return t._replace(frames=t.frames[:-1] + (f._replace(pc=''),))
        if f.stage == 0 and f.image is None:
            return self.pop(t)
        return t._replace(frames=t.frames[:-1] + (f._replace(pc='unwind', stage=f.stage or 1),))

    def foreign(self, st, i, t, f, R, go, top):
        c, on = self.c, self.rules
        g = self.grants[f.rid]
        for o, r in g.items():
            if self.opened(st, t.pkru, o) < r:
                if not on['faultpath']:
                    if not st.dead >> f.rid & 1:
                        self.errs.append(('A1', 't%d cannot touch object %d, which its call was granted' % (i, o)))
                    continue
                go('touches object %d: fault' % o, t._replace(pkru=None, frames=top('judge', image=t.pkru, o=o, stage=f.stage or 1)))
        if R.viol:
            go('violates', t._replace(pkru=None, frames=top('judge', image=t.pkru, o=-1, stage=f.stage or 1)))
        if R.lock and f.stage in (0, 1) and st.M != i:
            if st.M < 0:
                go('foreign code takes the library mutex', t, M=i)
            return
        if R.clone is not None and st.T[R.clone].alive == 2:
            child = st.T[R.clone]._replace(alive=1, pkru=self.base if on['strip'] else t.pkru)
            go('foreign code starts thread t%d' % R.clone, t, T=rep(st.T, R.clone, child))
        if R.fork and st.ghost == -1 and not st.evt >> 7:
            go('foreign code forks', t, ghost=i, evt=st.evt | 1 << 7)
        if R.cb and f.stage < 2:
            go('foreign code calls back', t._replace(frames=top('close', stage=2)))
            return
        if R.after and not st.evt & R.after:
            return
        go('foreign code returns', t._replace(frames=top('close', stage=4)), M=-1 if R.lock and st.M == i else st.M, evt=st.evt | R.sets)

    # ---- the owner of the arena mutex
    def kernel(self, st, out):
        c, on, K = self.c, self.rules, st.K
        t = st.T[K.tid]
        f = t.frames[-1]

        def go(label, **kw):
            out.append(('k(t%d) %s' % (K.tid, label), st._replace(**kw)))

        def setf(pc, **kw):
            return rep(st.T, K.tid, t._replace(frames=t.frames[:-1] + (f._replace(pc=pc, **kw),)))

        def stale(mask):                                # evt from bit 8: records whose citations were forgotten
            return tuple(w | 1 if self.held(w) & mask and not st.evt >> 8 + r & 1 else w for r, w in enumerate(st.word))

        if K.op == 'rev':
            g = self.grants[K.rid]
            if K.pc == 0:
                cited = sum({1 << st.key[o] for o in g if st.key[o] >= 0})
                w, evt = stale(cited), st.evt
                if not on['citations']:
                    w, evt = st.word, evt | sum(1 << 8 + r for r, v in enumerate(st.word) if self.held(v) & cited)
                if on['dead']:
                    w = rep(w, self.at[K.rid], w[self.at[K.rid]] | 1)
                go('record %d is dead, slots %s stale' % (K.rid, bin(cited)), word=w, dead=st.dead | 1 << K.rid, evt=evt, K=K._replace(pc=1))
            elif K.pc == 1:
                key, tlb = self.rekey(st, g, on['revflush'])
                go('its pages to SAFE, flush', K=K._replace(pc=2), **(dict(key=key, tlb=tlb) if on['revrekey'] else {}))
            else:
                go('revoke returns', K=None, T=rep(st.T, K.tid, t._replace(frames=(), pos=t.pos + 1)))
            return
        flt = f.image is not None
        own = flt and not on['faultrelease']
        if K.pc == 0:
            if st.dead >> K.rid & 1 and on['dead'] and (not flt or on['faultvalid']):
                if flt:
                    go('record is dead', K=None, T=rep(st.T, K.tid, self.fail(t, f)))
                elif f.stage == 3:
                    go('record is dead', K=None, T=setf('nothing'))
                else:
                    go('record is dead: call fails', K=None, T=rep(st.T, K.tid, self.pop(t)))
                return
            w, need, mine = self.plan(st, K.rid)
            if not need:
                word, evt = rep(st.word, self.at[K.rid], w), st.evt & ~(1 << 8 + self.at[K.rid])
                go('publishes %s' % self.show(w), word=word, evt=evt, K=None, T=setf('take' if flt else 'load'))
                return
            g = self.grants[K.rid]
            grp = tuple(o for o in need if g[o] == g[need[0]] or not on['rights'])
            forced = sum({1 << st.key[o] for o in grp if st.key[o] >= 0})
            cand = [s for s in range(c.slots) if not mine >> s & 1]
            if not cand:                                # no slot to spare: share one that has the same right
                cand = [s for s in bits(mine) if self.fits(st, K.rid, s) == g[grp[0]]]
            for v in cand:
                if K.tried >> v & 1:
                    continue
                new = grp + tuple(self.pages(st, v)) if mine >> v & 1 else grp
                ev = forced | 1 << v
                go('marks records of slots %s stale' % bin(ev), word=stale(ev) if on['mark'] else st.word, K=K._replace(pc=1, ev=ev, v=v, grp=new, i=0))
            if not cand:
                go('no slot of that right: call fails', K=None, T=rep(st.T, K.tid, self.fail(t, f)))
            elif all(K.tried >> v & 1 for v in cand):   # every slot that would do is held by someone
                self.wait(st, K, t, f, forced, cand if on['waitall'] else [K.v], own, go, setf)
        elif K.pc == 1:
            T = tuple(self.drain(u) for u in st.T) if on['ipi'] else st.T
            go('IPI' if on['ipi'] else 'no IPI', T=T, K=K._replace(pc=2 if on['scan'] else 3))
        elif K.pc == 2:
            ev = K.ev if on['freescan'] else sum(1 << s for s in bits(K.ev) if self.pages(st, s))
            while K.i < len(st.T) and (not st.T[K.i].att or st.T[K.i].alive == 0 and on['deadskip']):
                K = K._replace(i=K.i + 1)
            if K.i == len(st.T):
                go('scan is clean', K=K._replace(pc=3, tried=0))
            elif not on['oneload'] and K.half < 0:
                go('loads held of line %d' % K.i, K=K._replace(half=self.busy(st, K.i, ev, own and K.i == K.tid, 1)))
            elif K.half | self.busy(st, K.i, ev, own and K.i == K.tid, 2) if K.half >= 0 else self.busy(st, K.i, ev, own and K.i == K.tid):
                go('line %d holds' % K.i, K=K._replace(pc=0, tried=K.tried | 1 << K.v, i=0, grp=(), half=-1))
            else:
                go('line %d is clear' % K.i, K=K._replace(i=K.i + 1, half=-1))
        elif K.pc == 3:
            old = [o for o in range(c.objs) if st.key[o] >= 0 and K.ev >> st.key[o] & 1]
            if not on['safefirst']:
                after = st._replace(key=tuple(K.v if o in K.grp else -1 if o in old else k for o, k in enumerate(st.key)))
                word = rep(st.word, self.at[K.rid], self.plan(after, K.rid)[0])
                go('publishes early', word=word, K=K._replace(pc=4))
                return
            key, tlb = self.rekey(st, old, on['evflush'])
            go('old pages to SAFE, flush', key=key, tlb=tlb, K=K._replace(pc=4))
        elif K.pc == 4:
            old = [o for o in range(c.objs) if st.key[o] >= 0 and K.ev >> st.key[o] & 1]
            key = self.rekey(st, old, True)[0]
            key = tuple(K.v if o in K.grp else k for o, k in enumerate(key))
            go('keys %s with slot %d' % (K.grp, K.v), key=key, K=Op(K.tid, 'bind', 0, K.rid))

    def busy(self, st, i, ev, own, part=3):             # part: 1 held word, 2 OUTER, 3 both in one load
        u = st.T[i]
        h = self.held(u.cur) if part & 1 and not own else 0
        return (h | (self.held(u.out) if part & 2 and self.rules['outerscan'] else 0)) & ev

    def rekey(self, st, objs, flush):
        tlb = st.tlb if flush else tuple(x | 1 << st.key[o] if o in objs and st.key[o] >= 0 else x for o, x in enumerate(st.tlb))
        return tuple(-1 if o in objs else k for o, k in enumerate(st.key)), tlb

    def wait(self, st, K, t, f, forced, cand, own, go, setf):
        on, ev = self.rules, forced | sum(1 << v for v in cand)
        holders = [i for i, u in enumerate(st.T) if u.att and (u.alive or not on['deadskip']) and self.busy(st, i, ev, own and i == K.tid)]
        others = any(g.kind == 'c' for g in t.frames[:-1])
        may = not others and (f.stage or own or self.held(t.cur) == 0) or not on['nowait']
        if not may:
            if holders == [K.tid] and not any(g.kind == 's' for g in t.frames):
                self.errs.append(('A1', 't%d finds no slot because of itself' % K.tid))
            go('all are held, must not wait: FFG_E_BUSY', K=None, T=rep(st.T, K.tid, self.fail(t, f)))
        elif K.i == 0 and on['waitflag']:
            T = tuple(u._replace(flag=1) if i in holders else u for i, u in enumerate(st.T))
            go('sets wake flags of %s' % holders, T=T, K=K._replace(i=1))
        elif K.i < 2 and on['waitipi']:
            go('second IPI', T=tuple(self.drain(u) for u in st.T), K=K._replace(i=2))
        elif K.i < 3 and on['rescan']:
            if on['reflag'] and on['waitflag'] and not all(st.T[i].flag for i in holders):
                go('rescan: another line holds', K=K._replace(i=0))
            elif any(not any(self.busy(st, i, forced | 1 << v, own and i == K.tid) for i in holders) for v in cand):
                go('rescan: free now', K=K._replace(i=0, tried=0))
            else:
                go('rescan: still held', K=K._replace(i=3))
        else:
            go('sleeps', K=None, T=setf('sleep'))

    def show(self, v):
        return '-1' if v == self.none else ''.join('%d%s' % (s, 'r' if v >> 2 * s + 3 & 1 else 'w') for s in bits(self.held(v))) or 'base'


def check(cfg, off=(), want=None, limit=4000000):
    """Breadth first.  {property: shortest trace that breaks it}; ends early once a property in `want` is broken."""
    m = Model(cfg, off)
    s0 = m.initial()
    idx, states, par, pred, good, found, n = {s0: 0}, [s0], [(-1, '')], [[]], [], {}, 0

    def trace(n, msg):
        r = ['=> ' + msg]
        while n > 0:
            n, label = par[n]
            r.append(label)
        return r[::-1]

    while n < len(states):
        st = states[n]
        nxt, errs = m.succ(st), m.bad(st)
        if m.done(st):
            good.append(n)
            if any(t.alive == 1 and (t.cur != m.none or t.out != m.none) for t in st.T):
                errs = errs + [('R1', 'a line holds something after the last call')]
        for p, msg in errs + m.errs:
            found.setdefault(p, trace(n, msg))
            if want and p in want:
                return n, found
        for label, s2 in nxt:
            k = idx.get(s2)
            if k is None:
                if len(states) >= limit:
                    found['limit'] = ['more than %d states' % limit]
                    return n, found
                k = idx[s2] = len(states)
                states.append(s2)
                par.append((n, label))
                pred.append([])
            pred[k].append(n)
        n += 1
    ok, stack = bytearray(n), list(good)                # L1: from where can all programs still end?
    for g in good:
        ok[g] = 1
    while stack:
        for p in pred[stack.pop()]:
            if not ok[p]:
                ok[p] = 1
                stack.append(p)
    k = ok.find(0)
    if k >= 0:
        found['L1'] = trace(k, 'the programs can no longer all end')
    return n, found


def show(trace, verbose):
    for n, line in enumerate(trace if verbose else trace[-1:]):
        print('#   %s' % (line if not verbose or line.startswith('=>') else '%2d %s' % (n + 1, line)))


def main():
    ap = argparse.ArgumentParser(description='Exhaustive check of the slot protocol, see the head of this file')
    ap.add_argument('--deep', action='store_true', help='also the large configurations (many minutes)')
    ap.add_argument('--rule', metavar='NAME', action='append', help='only: remove this rule, in all configurations, until it breaks its property')
    ap.add_argument('--config', metavar='NAME', help='only: this configuration, all rules on')
    ap.add_argument('--list', action='store_true', help='list configurations and rules')
    ap.add_argument('--verbose', action='store_true', help='print whole traces')
    a = ap.parse_args()
    cfgs = {c.name: c for c in configs()}
    if a.list:
        for c in cfgs.values():
            print('config  %s' % c.name)
        for r, (p, c, text) in RULES.items():
            print('rule    %-16s %s  %s  [%s]' % (r, 'S1/S2' if p == 'S' else p, text, c))
        return 0
    unknown = [r for r in a.rule or () if r not in RULES] + [c for c in [a.config] if c and c not in cfgs]
    if unknown:
        ap.error('unknown: %s (see --list)' % ', '.join(unknown))
    todo = [c for c in cfgs.values() if (c.name == a.config if a.config else not a.rule and (a.deep or not c.deep))]
    rules = a.rule or ([] if a.config else list(RULES))
    print('TAP version 13\n1..%d' % (len(todo) + len(rules)))
    num = failed = total = 0
    for c in todo:
        num, t0 = num + 1, time.time()
        n, found = check(c, limit=20000000 if a.deep else 4000000)
        total += n
        failed += bool(found)
        print('%s %d - %s: S1 S2 A1 R1 L1 hold' % ('not ok' if found else 'ok', num, c.name))
        print('# %d states, %.1f s' % (n, time.time() - t0), flush=True)
        for p in sorted(found):
            print('# %s fails:' % p)
            show(found[p], True)
    if todo:
        print('# all rules on: %d states' % total)
    for r in rules:
        prop, where, text = RULES[r]
        want, num = ('S1', 'S2') if prop == 'S' else (prop,), num + 1
        for c in [cfgs[where]] + ([c for c in cfgs.values() if c.name != where and not c.deep] if a.rule else []):
            n, found = check(c, (r,), want)
            hit = [p for p in want if p in found]
            if hit:
                break
        failed += not hit
        print('%s %d - without %s: %s is broken' % ('ok' if hit else 'not ok', num, r, ' or '.join(want)))
        print('# rule: %s' % text)
        print('# %s, %s after %d states:' % (c.name, hit[0], n) if hit else '# no counterexample', flush=True)
        if hit:
            show(found[hit[0]], a.verbose)
        for p in found if not hit else ():
            print('# broken instead: %s' % p)
            show(found[p], a.verbose)
    print('# %d passed, %d failed' % (num - failed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
