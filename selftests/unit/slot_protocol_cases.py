# SPDX-License-Identifier: GPL-2.0-only
"""Rules and configurations of slot_protocol_model.py."""
from collections import namedtuple

IN, INOUT = 1, 2
A, B, C = 0, 1, 2       # objects

# Calls.  grants: ((object, right), ...); cb: the foreign code calls back, and the callback calls record cb (-1: nothing);
# lock: it takes the library's mutex; after, sets: it blocks until a call that sets this bit has run; clone, fork: it starts
# thread number clone, forks; viol: it may touch what was never granted; reuses: takes the memory of that dead record
Rec = namedtuple('Rec', 'grants cb lock after sets clone fork viol reuses', defaults=(0, 0, 0, 0, None, 0, 0, 0))

RULES = {              # name: (property that breaks without it, in which configuration, the rule); 'S' = S1 or S2
    'hold': ('S2', 'evict', 'entry stores held before it compares the word'),
    'compare': ('S2', 'evict', 'entry compares the word again after the store'),
    'oneword': ('S2', 'revoke, rebind in place', 'held mask, PKRU bits and validity are one word, loaded once'),
    'close': ('S2', 'evict', 'exit closes PKRU before it stores what the line held before'),
    'mark': ('S2', 'evict', 'bind marks stale every record that cites the slot'),
    'ipi': ('S2', 'evict', 'bind sends an IPI between marking and the scan'),
    'scan': ('S2', 'evict', 'bind scans the lines'),
    'freescan': ('S', 'revoke', 'bind scans for an empty slot as well'),
    'safefirst': ('S2', 'signals, 1 slot', 'bind rekeys the old pages to SAFE before it publishes'),
    'evflush': ('S2', 'evict', 'bind flushes the TLBs after the rekey'),
    'subset': ('S2', 'sharing', 'a record opens a slot only if its grants cover the whole page set'),
    'rights': ('S2', 'rights, no slot to spare', 'objects share a slot only with equal rights'),
    'writedis': ('S2', 'rights, no slot to spare', 'an IN grant opens its slot with the write-disable bit'),
    'nest': ('S2', 'signals, 1 slot', 'a call on a line that holds something first adds it to OUTER'),
    'outerscan': ('S2', 'signals, 1 slot', 'the scan looks at OUTER as well'),
    'oneload': ('S2', 'signals, 3 objects', 'the scan loads the held word and OUTER of a line with one load'),
    'restore': ('S2', 'signals, same object', 'exit stores back what the line held before the acquire'),
    'nestorder': ('S2', 'signals, 3 objects', 'nested exit restores the held word before OUTER'),
    'recrest': ('R1', 'signals, 1 slot', 'exit restores the record index of the line'),
    'callbackrelease': ('A1', 'callback, revoke inside', 'callback entry releases'),
    'reacquire': ('S', 'library mutex', 'callback return acquires like an entry'),
    'revrekey': ('S1', 'revoke', 'revoke rekeys the pages before it returns'),
    'revflush': ('S1', 'revoke', 'revoke flushes the TLBs before it returns'),
    'dead': ('S1', 'revoke', 'revoke kills the record word for good'),
    'citations': ('S2', 'signal, revoke, fault', 'revoke marks stale the other records that cite its slots (removed: it only forgets that they do)'),
    'faultpath': ('A1', 'revoke one of a shared set', 'a fault on a valid grant asks the module'),
    'faultvalid': ('S', 'revoke', 'the module serves a fault only for a live record that grants the object'),
    'faultrelease': ('L1', 'revoke, both fault', 'FAULT first gives up what its line holds (removed: that does not count in its scan)'),
    'faultcompare': ('S2', 'revoke, other holder, 2 slots', 'FAULT takes the word only if it is valid, under the mutex'),
    'faulthold': ('S2', 'revoke, other holder, 2 slots', 'FAULT stores the word as held under the mutex, before it returns'),
    'faultimage': ('S2', 'revoke, other holder, 2 slots', 'the handler replaces all slot bits of the frame PKRU, it does not only open the new ones'),
    'faultframe': ('S2', 'evict, touch in a handler', 'FAULT serves only frames whose PKRU is what the line holds, not a handler on top of one'),
    'recordid': ('S2', 'revoke, record memory reused', 'a record id in a line is never reused for other grants'),
    'unwindclose': ('S2', 'revoke', 'recovery closes before it stores back'),
    'unwindrestore': ('S2', 'recovery in a handler', 'recovery stores back what the outer frames held'),
    'strip': ('S2', 'clone in foreign mode', 'a thread created in foreign mode starts with the base PKRU'),
    'attach': ('S2', 'attach', 'a line is published before its first hold'),
    'dontfork': ('S2', 'fork in foreign mode', 'lines are not inherited by fork'),
    'wake': ('L1', 'evict', 'exit looks at the wake flag after the store'),
    'bowake': ('L1', 'revoke', 'BIND after a back-off looks at the wake flag too'),
    'exitwake': ('L1', 'kills', 'the death of a holder wakes (in kmod: waiters look again every few ms)'),
    'deadskip': ('L1', 'kills', 'the scan skips dead tasks'),
    'waitflag': ('L1', 'evict', 'a waiter sets the wake flags before it sleeps'),
    'waitipi': ('L1', 'evict', 'a waiter then sends a second IPI'),
    'rescan': ('L1', 'evict', 'a waiter then scans again'),
    'reflag': ('L1', 'evict, 2x2 calls', 'a waiter sets the flags of holders that only this second scan finds, and starts over'),
    'waitall': ('L1', 'wait for any slot', 'a waiter looks at all slots that would do, not only at the last one tried'),
    'wakelock': ('L1', 'evict', 'a wake takes the lock under which waiters scan and fall asleep'),
    'nowait': ('L1', 'signals, same object', 'a call waits only if its line holds nothing and no foreign frame lies below'),
    'bounded': ('L1', 'foreign code blocks', 'a wait is bounded'),
}


class Cfg:
    # progs: what each thread does: calls by record number, ('rev', record); init: {slot: objects}; sig: {thread: (number of
    # signals, record of the handler's call or 0)}; kills: SIGKILLs; unatt: threads without a line; unborn: made by clone;
    # bounded: waits may time out
    def __init__(self, name, slots, objs, recs, progs, init=(), sig=None, kills=0, unatt=(), unborn=(),
                 bounded=False, deep=False):
        self.name, self.slots, self.objs, self.recs, self.progs = name, slots, objs, recs, progs
        self.init, self.sig, self.kills, self.unatt, self.unborn = dict(init), sig or {}, kills, set(unatt), set(unborn)
        self.bounded, self.deep = bounded, deep


RECS = {1: Rec(((A, INOUT),)), 2: Rec(((B, INOUT),)), 3: Rec(((A, INOUT), (B, INOUT))), 4: Rec(((A, IN),)),
        5: Rec(((A, IN), (B, INOUT))), 6: Rec(((A, INOUT),), cb=2), 7: Rec(((B, INOUT),), cb=1), 8: Rec(((A, INOUT),)),
        9: Rec(((A, INOUT),), clone=2), 10: Rec(((A, INOUT),), lock=1, cb=-1), 11: Rec(((B, INOUT),), lock=1),
        12: Rec(((A, INOUT),), after=1), 13: Rec(((B, INOUT),), sets=1), 14: Rec(((A, INOUT),), fork=1),
        15: Rec(((A, INOUT),), viol=1), 16: Rec(((A, INOUT),), cb=-1), 17: Rec(((B, INOUT), (C, INOUT))), 18: Rec(((B, IN), (A, IN))),
        19: Rec(((B, INOUT), (A, INOUT)), cb=2),
        20: Rec(((A, INOUT), (B, INOUT)), reuses=1),
        21: Rec(((C, INOUT),)), 22: Rec(((C, INOUT),), sets=1), 24: Rec(((B, INOUT),)), 23: Rec(((A, INOUT),), cb=15)}


def configs():
    def cfg(name, slots, objs, progs, init=(), **kw):
        ids = {p[1] if isinstance(p, tuple) else p for prog in progs for p in prog} | {r for _, r in kw.get('sig', {}).values() if r}
        ids |= {RECS[r].cb for r in list(ids) if RECS[r].cb > 0}
        return Cfg(name, slots, objs, {r: RECS[r] for r in ids}, progs, init, **kw)
    a, ab = {0: [A]}, {0: [A], 1: [B]}
    yield cfg('evict', 1, 2, [[1], [2]], a)
    yield cfg('evict, 3 threads', 1, 2, [[1], [2], [1]], a)
    yield cfg('evict, 2x2 calls', 1, 2, [[1, 1], [2, 2]], a)
    yield cfg('sets', 2, 3, [[3], [17]])
    yield cfg('sharing', 1, 2, [[3], [2]])
    yield cfg('rights, 2 slots', 2, 2, [[5], [1]])
    yield cfg('rights, shared pair', 2, 2, [[3], [5]], {0: [A, B]})
    yield cfg('rights, 1 slot', 1, 2, [[18], [1]])
    yield cfg('rights, no slot to spare', 1, 2, [[5], [4]])
    yield cfg('revoke', 1, 2, [[1], [('rev', 1), 2]], a)
    yield cfg('revoke, other holder, 1 slot', 1, 1, [[8], [1], [('rev', 1)]], a)
    yield cfg('revoke, other holder, 2 slots', 2, 2, [[8], [('rev', 1), 2]], a)
    yield cfg('revoke, record memory reused', 2, 2, [[1], [('rev', 1), 20]], a)
    yield cfg('evict, touch in a handler', 2, 2, [[1], [2, 2]], a, sig={0: (1, 0)})
    yield cfg('revoke, fault in a handler', 2, 2, [[8], [('rev', 1), 2]], a, sig={0: (1, 0)})
    yield cfg('fault in a nested call', 2, 2, [[1], [('rev', 24)]], ab, sig={0: (1, 2)})
    yield cfg('revoke one of a shared set', 1, 2, [[3], [('rev', 1), 2]])
    yield cfg('revoke, both fault', 2, 2, [[3], [19], [('rev', 1)]], ab)
    yield cfg('callbacks', 1, 2, [[6], [7]], a, bounded=True)
    yield cfg('callback, revoke inside', 1, 2, [[6], [('rev', 6), 2]], a)
    yield cfg('signals, 1 slot', 1, 2, [[1], [2]], a, sig={0: (1, 2)})
    yield cfg('signals, 2 slots', 2, 2, [[1], [2]], a, sig={0: (1, 2)})
    yield cfg('signals, 3 objects', 2, 3, [[1], [21]], ab, sig={0: (1, 2)})
    yield cfg('signals, same object', 1, 2, [[1], [2]], a, sig={0: (1, 1)})
    yield cfg('signal, revoke, fault', 2, 2, [[8], [('rev', 1)]], a, sig={0: (1, 2)})
    yield cfg('signal, revoke, fault, evict', 2, 2, [[8], [('rev', 1), 2]], a, sig={0: (1, 8)})
    yield cfg('revoke, rebind in place', 2, 2, [[1], [1, 2], [('rev', 8)]], a)
    yield cfg('wait for any slot', 2, 3, [[12], [2], [22]], ab)
    yield cfg('kills, revoke, fault', 2, 2, [[8], [1], [('rev', 1)]], a, kills=1)
    yield cfg('kills, callbacks', 1, 2, [[6], [2]], a, kills=1)
    yield cfg('kills, signals', 1, 2, [[1], [2]], a, kills=1, sig={0: (1, 1)})
    yield cfg('kills', 1, 2, [[1], [2]], a, kills=1)
    yield cfg('attach', 1, 2, [[1], [2]], a, unatt=(0,))
    yield cfg('clone in foreign mode', 1, 2, [[9], [2], []], a, unborn=(2,))
    yield cfg('fork in foreign mode', 1, 2, [[14], [2]], a)
    yield cfg('recovery', 1, 2, [[15], [2]], a)
    yield cfg('recovery in a handler', 2, 3, [[2], [21]], {0: [B]}, sig={0: (1, 15)})
    yield cfg('recovery in a callback', 1, 2, [[23], [2]], a)
    yield cfg('library mutex', 1, 2, [[10], [11]], a, bounded=True)
    yield cfg('foreign code blocks', 1, 2, [[12], [13]], a, bounded=True)

    # --deep
    yield cfg('deep: 3 threads, signal', 1, 2, [[1], [2], [1]], a, sig={0: (1, 1)}, deep=True)
    yield cfg('deep: revoke, fault, evict', 2, 3, [[8], [('rev', 1)], [21]], ab, deep=True)
    yield cfg('deep: revoke, fault, evict, bound', 2, 3, [[3], [('rev', 1), 2], [21]], ab, deep=True, bounded=True)
    yield cfg('deep: handler, recovery, revoke', 2, 2, [[2], [('rev', 15)]], ab, sig={0: (1, 15)}, deep=True)
    yield cfg('deep: both fault, kill', 2, 2, [[3], [19], [('rev', 1)]], ab, kills=1, deep=True, bounded=True)
    yield cfg('deep: callbacks, signal, revoke', 2, 2, [[6], [('rev', 1), 7]], a, sig={0: (1, 1)}, deep=True, bounded=True)
    yield cfg('deep: clone, revoke, kill', 2, 2, [[9], [('rev', 1), 2], []], a, unborn=(2,), kills=1, deep=True)
    yield cfg('deep: late attach, signal', 1, 2, [[1], [2]], a, sig={0: (1, 1)}, unatt=(0, 1), deep=True)
    yield cfg('deep: two signals', 2, 3, [[1], [21]], ab, sig={0: (2, 2)}, deep=True)
