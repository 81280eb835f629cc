/* SPDX-License-Identifier: MIT */
/*
 * Room in one ring: a writer that sleeps until there is some, and a reader that gives it
 * back as vmbus/chan.c does (spec: ring, sections 9.2 and 10.4). Memory as in signal.pml:
 * stores wait in their processor's buffer, loads go to memory, a fence drains.
 *
 * What signal.pml leaves out:
 *   - a reader that polls, masked, and never sleeps: what it popped it may hold back for
 *     ever, but for a wish of the writer that it sees in passing (hold_back() in chan.c)
 *   - a doorbell that rings for other reasons too, since both rings of a channel share it:
 *     a woken writer looks again, and asks again before it sleeps again
 *   - wishes of any size, and one that is withdrawn because the packet fits meanwhile
 *   - the feature bit: a writer that did not set it never says what it waits for; the
 *     reader then signals when at least half was used (packets of up to half a ring)
 *   - interrupt_mask, which is about data and must not hold back a signal about room
 *
 * Shown for all interleavings of PACKETS packets of one to three units on a ring of N: no
 * state in which the writer sleeps for ever (no invalid end state). A reader that polls
 * is blocked in the model while looking again would change nothing, so a writer
 * forgotten by it is an invalid end state too.
 *
 * MUTANT(n): as in signal.pml; run.sh has the list.
 */
c_decl {
	static int mutant;
	__attribute__((constructor)) static void choose_mutant(void)
	{
		const char *m = getenv("MUTANT");
		mutant = m ? atoi(m) : 0;
	}
}
#define MUTANT(n) c_expr { mutant == n }

#ifndef N
#define N 6 /* units in the data area; one always stays free */
#endif
#ifndef PACKETS
#define PACKETS 5
#endif
#define SLOTS	3 /* entries of a store buffer */
#define WRITER	0
#define READER	1

/* Shared memory. */
#define WRITE_INDEX 0
#define READ_INDEX  1
#define MASK	    2
#define PENDING	    3
#define WORDS	    4
byte mem[WORDS];

bool feature;	   /* set before the ring is used, never changed */
bool reader_polls; /* or it goes to sleep when there is nothing */

typedef buffer {
	byte where[SLOTS];
	byte what[SLOTS];
	byte used
};
buffer sb[2];

bool reader_bell, writer_bell; /* doorbells: stay rung until somebody takes note */
bool ready, writer_done;

inline STORE(cpu, a, v)
{
	atomic {
		sb[cpu].used < SLOTS;
		sb[cpu].where[sb[cpu].used] = a;
		sb[cpu].what[sb[cpu].used] = v;
		sb[cpu].used++
	}
}

#define FENCE(cpu)	sb[cpu].used == 0
#define raw_free(w, r)	(w >= r -> N - (w - r) : r - w)
#define length(seq)	(1 + (seq) % 3)

active [2] proctype flusher()
{
	byte cpu = _pid;

end:	do
	:: d_step {
		sb[cpu].used > 0 ->
		mem[sb[cpu].where[0]] = sb[cpu].what[0];
		sb[cpu].where[0] = sb[cpu].where[1];
		sb[cpu].what[0] = sb[cpu].what[1];
		sb[cpu].where[1] = sb[cpu].where[2];
		sb[cpu].what[1] = sb[cpu].what[2];
		sb[cpu].used--;
		sb[cpu].where[sb[cpu].used] = 0;
		sb[cpu].what[sb[cpu].used] = 0
	   }
	od
}

/* Who the two sides are: any writer with any reader. */
active proctype sides()
{
	atomic {
		if
		:: feature = false
		:: feature = true
		fi;
		if
		:: reader_polls = true
		:: reader_polls = false
		fi;
		ready = true
	}
}

/* The other ring's data, once: it wakes the writer at a moment of its choice. */
active proctype other_ring()
{
	if
	:: atomic { !writer_done -> writer_bell = true }
	:: true
	fi
}

active proctype writer()
{
	byte seq, next, peer_read, need, wish, r;
	bool asked;

	ready;
	do
	:: seq == PACKETS -> break
	:: else ->
		need = length(seq);
		peer_read = mem[READ_INDEX];
		if
		:: raw_free(next, peer_read) > need -> skip
		:: else -> goto no_room
		fi;
put:		if /* something fits: the wish is over. No fence: late is harmless */
		:: asked -> STORE(WRITER, PENDING, 0); asked = false
		:: else
		fi;
		r = next;
		atomic {
			next = (next + need) % N;
			seq++
		}
		STORE(WRITER, WRITE_INDEX, next); /* W2 */
		FENCE(WRITER); /* W3 */
		if
		:: mem[MASK] == 0 && mem[READ_INDEX] == r -> reader_bell = true
		:: else
		fi;
		r = 0;
		goto sent;

no_room:	if
		:: !feature -> goto silent
		:: else
		fi;
		if /* what is needed, or more, not to be woken for every small packet */
		:: wish = need
		:: wish = N - 2
		:: wish = N - 1 /* "once it is all drained" */
		fi;
		STORE(WRITER, PENDING, wish); /* B1 */
		asked = true;
		if
		:: MUTANT(1) -> skip
		:: else -> FENCE(WRITER) /* B2 */
		fi;
		if
		:: MUTANT(2) -> skip
		:: else ->
			peer_read = mem[READ_INDEX]; /* B3 */
			if
			:: raw_free(next, peer_read) > need -> goto put
			:: else
			fi
		fi;
asleep:		atomic { writer_bell -> writer_bell = false }
		peer_read = mem[READ_INDEX];
		if
		:: raw_free(next, peer_read) > need -> goto put
		:: else
		fi;
		if
		:: MUTANT(3) -> /* woken for nothing: forgets that it waits */
			STORE(WRITER, PENDING, 0);
			asked = false;
			goto asleep
		:: else -> goto no_room
		fi;

silent:		atomic { writer_bell -> writer_bell = false }
		peer_read = mem[READ_INDEX];
		if
		:: raw_free(next, peer_read) > need -> goto put
		:: else -> goto silent
		fi;
sent:		atomic {
			wish = 0;
			need = 0
		}
	od;
	writer_done = true
}

/* All bytes popped that the writer may not know of, or was not looked for after. */
#define held (next != published || unchecked)

active proctype reader()
{
	byte seq, next, published, w, seen, p, step, unchecked, old, i;
	bool masked;

	ready;
	if
	:: reader_polls -> STORE(READER, MASK, 1); masked = true
	:: else
	fi;
	do
	:: seq == PACKETS -> break
	:: else ->
		seen = mem[WRITE_INDEX];
		if
		:: seen == next -> goto no_data
		:: else
		fi;
take:		i = length(seq);
		atomic {
			next = (next + i) % N;
			seq++;
			i = 0
		}
		if
		:: next != seen -> goto take
		:: true
		fi;

		/* hold_back(): after a batch */
		if
		:: !masked -> goto commit
		:: masked && mem[PENDING] && !MUTANT(7) -> goto commit
		:: masked && !mem[PENDING] -> skip
		:: masked && MUTANT(7) -> skip
		fi;
lazily:		if
		:: goto round /* it is not a quarter of the ring yet */
		:: next != published ->
			STORE(READER, READ_INDEX, next);
			atomic {
				unchecked = unchecked + (next + N - published) % N;
				unchecked = (unchecked > N -> N : unchecked);
				published = next
			}
			if
			:: mem[PENDING] && !MUTANT(7) -> goto commit
			:: else
			fi
		fi;
		goto round;

no_data:	if
		:: !masked -> goto idle
		:: masked && mem[WRITE_INDEX] != next -> goto round
		:: masked && MUTANT(6) && next != published && mem[PENDING] -> goto commit
		:: masked && !MUTANT(6) && !MUTANT(7) && held && mem[PENDING] -> goto commit
		:: masked && !feature && held -> goto commit /* after LAZY_TURNS looks */
		:: masked && next != published -> goto lazily
		:: masked && !reader_polls -> goto idle
		fi;

idle:		if
		:: held -> goto commit
		:: else
		fi;
		STORE(READER, MASK, 0); /* R2; R1 was the commit */
		FENCE(READER); /* R3 */
		if
		:: mem[WRITE_INDEX] == next -> atomic { reader_bell -> reader_bell = false }
		:: else
		fi;
		if /* awake: masked, or by the edge rule alone */
		:: STORE(READER, MASK, 1); masked = true
		:: masked = false
		fi;
		goto round;

commit:		if
		:: MUTANT(4) -> p = mem[PENDING] /* as it was */
		:: else
		fi;
		atomic {
			step = unchecked + (next + N - published) % N;
			step = (step > N -> N : step);
			unchecked = 0;
			published = next
		}
		STORE(READER, READ_INDEX, next); /* C1 */
		FENCE(READER); /* C2 */
		if
		:: MUTANT(4) -> skip
		:: else -> p = mem[PENDING] /* C3 */
		fi;
		if
		:: MUTANT(9) -> w = seen
		:: else -> w = mem[WRITE_INDEX] /* C4 */
		fi;
		atomic {
			i = raw_free(w, next);
			old = (i > step -> i - step : 0);
			w = 0;
			step = 0
		}
		if
		:: MUTANT(5) && p -> i = (old > p && i <= p)
		:: MUTANT(8) && masked -> i = 0
		:: MUTANT(10) && !p -> i = 0
		:: MUTANT(11) && !p -> i = (!feature && old <= 1)
		:: !MUTANT(5) && !(MUTANT(8) && masked) && p -> i = (old <= p && i > p)
		:: !MUTANT(8) && !MUTANT(10) && !MUTANT(11) && !p -> i = (!feature && old <= N / 2)
		:: else -> i = 0
		fi;
		if
		:: i -> writer_bell = true
		:: else
		fi;
		atomic {
			p = 0;
			i = 0;
			old = 0
		}
round:		skip
	od;
	if
	:: held -> goto commit
	:: else
	fi
}
