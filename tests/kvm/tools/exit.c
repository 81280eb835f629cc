/* SPDX-License-Identifier: MIT */
/* Ends level 1 with a status: the emulator exits with 2 * VALUE + 1. usage: exit VALUE */
#include <stdio.h>
#include <stdlib.h>
#include <sys/io.h>

enum { DEBUG_EXIT_PORT = 0xf4 };

int main(int argc, char **argv)
{
	int value = argc == 2 ? atoi(argv[1]) : 0;

	if (value < 1 || value > 127) {
		fprintf(stderr, "usage: exit VALUE (1 to 127)\n");
		return 2;
	}
	/* The stock cloud kernel has no /dev/port. */
	if (ioperm(DEBUG_EXIT_PORT, 1, 1) < 0) {
		perror("exit: ioperm");
		return 1;
	}
	outb((unsigned char)value, DEBUG_EXIT_PORT);
	fprintf(stderr, "exit: this machine has no debug exit device\n");
	return 1;
}
