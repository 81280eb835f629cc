/* SPDX-License-Identifier: MIT */
/*
 * The signalling protocol of one ring under a store-buffer memory model (x86-TSO):
 * every store waits in its processor's buffer until a flusher feels like it, loads go
 * to memory, a fence waits for the own buffer to drain. Take any fence away and the
 * search finds the history in which both sides sleep.
 *
 * Shown for all interleavings of PACKETS packets of one and two units on a ring of N
 * units: nobody sleeps for ever (no invalid end state), and the reader finds in every
 * unit what the writer put there (no unread unit is overwritten, none is read early).
 *
 * The code follows ringbuf/ring.h, ring_out.c and ring_in.c; labels W1.., R1.., B1..,
 * C1.. are those of the specification (spec: ring, section 10). Neither side loads a
 * word it stores, so loads need not look into the own buffer.
 *
 * MUTANT(n) is true when the environment says MUTANT=n: one mistake each, all of
 * which must be found (run.sh has the list).
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
#define N 4 /* units in the data area; one always stays free */
#endif
#ifndef PACKETS
#define PACKETS 4
#endif
#define SLOTS	3 /* entries of a store buffer */
#define WRITER	0
#define READER	1

/* Shared memory. */
#define WRITE_INDEX 0
#define READ_INDEX  1
#define MASK	    2
#define PENDING	    3
#define DATA	    4
byte mem[DATA + N];

typedef buffer {
	byte where[SLOTS];
	byte what[SLOTS];
	byte used
};
buffer sb[2];

bool reader_bell, writer_bell; /* doorbells: stay rung until somebody takes note */

inline STORE(cpu, a, v)
{
	atomic {
		sb[cpu].used < SLOTS;
		sb[cpu].where[sb[cpu].used] = a;
		sb[cpu].what[sb[cpu].used] = v;
		sb[cpu].used++
	}
}

#define FENCE(cpu) sb[cpu].used == 0

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
		sb[cpu].where[sb[cpu].used] = 0; /* fewer states that differ in nothing */
		sb[cpu].what[sb[cpu].used] = 0
	   }
	od
}

#define raw_free(w, r)	(w >= r -> N - (w - r) : r - w)
#define length(seq)	(1 + (seq) % 2)
#define stamp(seq)	((seq) + 1) /* what each unit of a packet holds */

active proctype writer()
{
	byte seq, next, published, old, peer_read, need, i, m, r;

	do
	:: seq == PACKETS -> break
	:: else ->
		need = length(seq);
retry:		if
		:: MUTANT(8) -> m = raw_free(next, peer_read) + 1 /* fills the ring up */
		:: else -> m = raw_free(next, peer_read)
		fi;
		if
		:: m > need -> skip
		:: else ->
			peer_read = mem[READ_INDEX];
			if
			:: MUTANT(8) -> m = raw_free(next, peer_read) + 1
			:: else -> m = raw_free(next, peer_read)
			fi;
			if
			:: m > need -> skip
			:: else -> goto no_room
			fi
		fi;

		/* W1: the packet */
		if
		:: MUTANT(10) -> STORE(WRITER, WRITE_INDEX, (next + need) % N)
		:: else
		fi;
		i = 0;
		do
		:: i < need -> STORE(WRITER, DATA + (next + i) % N, stamp(seq)); i++
		:: else -> break
		od;
		atomic {
			next = (next + need) % N;
			seq++
		}
		if /* one publication per packet, or several packets in one */
		:: goto publish
		:: seq < PACKETS -> skip
		fi;
		goto sent;

no_room:	if
		:: next != published -> goto publish /* what is not visible is not consumed */
		:: else
		fi;
		if /* what we ask for: what we need, or more, not to be woken too often */
		:: m = need
		:: m = N - 1
		fi;
		if
		:: MUTANT(7) -> skip
		:: else -> STORE(WRITER, PENDING, m) /* B1 */
		fi;
		if
		:: MUTANT(3) -> skip
		:: else -> FENCE(WRITER) /* B2 */
		fi;
		peer_read = mem[READ_INDEX]; /* B3 */
		if
		:: MUTANT(7) -> STORE(WRITER, PENDING, m)
		:: else
		fi;
		if
		:: raw_free(next, peer_read) > need -> skip
		:: else -> atomic { writer_bell -> writer_bell = false } /* asleep */
		fi;
		STORE(WRITER, PENDING, 0); /* no fence: late is harmless */
		goto retry;

publish:	skip;
		atomic {
			old = published;
			published = next
		}
		STORE(WRITER, WRITE_INDEX, next); /* W2 */
		if
		:: MUTANT(1) -> skip
		:: else -> FENCE(WRITER) /* W3 */
		fi;
		if
		:: MUTANT(13) && seq < PACKETS && seq % 2 -> goto sent
		:: else
		fi;
		m = mem[MASK]; /* W4 */
		r = mem[READ_INDEX]; /* W5 */
		if
		:: MUTANT(6) -> old = next
		:: else
		fi;
		if
		:: m == 0 && r == old -> reader_bell = true
		:: else
		fi;
		m = 0;
		r = 0;
		old = 0;
sent:		skip
	od;
	if
	:: next != published -> goto publish
	:: else
	fi
}

active proctype reader()
{
	byte seq, next, published, need, i, v, w, p, step, unchecked;

	do
	:: seq == PACKETS -> break
	:: else ->
		w = mem[WRITE_INDEX];
		if
		:: w == next -> goto no_data
		:: else
		fi;
take:		need = length(seq);
		if
		:: MUTANT(9) -> STORE(READER, READ_INDEX, (next + need) % N)
		:: else
		fi;
		i = 0;
		do
		:: i < need ->
			v = mem[DATA + (next + i) % N];
			assert(v == stamp(seq));
			i++
		:: else -> break
		od;
		atomic {
			next = (next + need) % N;
			seq++;
			v = 0
		}
		if /* give space back per packet, or later: at the latest when empty */
		:: goto commit
		:: STORE(READER, READ_INDEX, next); /* lazily: no fence, no look */
		   atomic {
			unchecked = unchecked + (next + N - published) % N;
			unchecked = (unchecked > N -> N : unchecked);
			published = next
		   }
		:: next != w -> goto take
		:: seq < PACKETS -> skip
		fi;
		goto taken;

no_data:	if
		:: (next != published || unchecked) && !MUTANT(5) -> goto commit
		:: else
		fi;
		if
		:: MUTANT(11) -> skip
		:: else -> STORE(READER, MASK, 0) /* R2; R1 was the commit */
		fi;
		if
		:: MUTANT(2) -> skip
		:: else -> FENCE(READER) /* R3 */
		fi;
		w = mem[WRITE_INDEX]; /* R4 */
		if
		:: MUTANT(11) -> STORE(READER, MASK, 0)
		:: else
		fi;
		if
		:: w != next -> skip
		:: else -> atomic { reader_bell -> reader_bell = false } /* asleep */
		fi;
		if /* masking while awake is optional */
		:: STORE(READER, MASK, 1)
		:: skip
		fi;
		goto taken;

commit:		skip;
		atomic {
			step = (next + N - published) % N;
			step = (MUTANT(15) -> step : step + unchecked);
			unchecked = 0;
			published = next
		}
		STORE(READER, READ_INDEX, next); /* C1 */
		if
		:: MUTANT(4) -> skip
		:: else -> FENCE(READER) /* C2 */
		fi;
		p = mem[PENDING]; /* C3 */
		if
		:: p ->
			w = mem[WRITE_INDEX]; /* C4 */
			i = raw_free(w, next);
			if
			:: MUTANT(12) -> v = (i < p + step && i > p)
			:: MUTANT(14) -> v = (i <= p + step && i >= N)
			:: else -> v = (i <= p + step && i > p)
			fi;
			if
			:: v -> writer_bell = true
			:: else
			fi
		:: else
		fi;
		atomic {
			p = 0;
			v = 0;
			i = 0;
			step = 0
		}
taken:		skip
	od;
	if
	:: next != published || unchecked -> goto commit
	:: else
	fi
}
