/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target on the files and directories given, without libFuzzer: any compiler
 * can replay a corpus or a crash. Ends with the line that test runners read.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_LIMIT (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned passed, failed;

static void run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *buf = malloc(FILE_LIMIT), *exact;
	size_t n;

	if (!f || !buf) {
		fprintf(stderr, "%s: cannot be read\n", path);
		failed++;
		free(buf);
		if (f)
			fclose(f);
		return;
	}
	n = fread(buf, 1, FILE_LIMIT, f);
	fclose(f);
	exact = malloc(n ? n : 1); /* exact size: a sanitizer sees the first byte too many */
	if (exact) {
		memcpy(exact, buf, n);
		LLVMFuzzerTestOneInput(exact, n);
		passed++;
	}
	free(exact);
	free(buf);
}

static void run(const char *path)
{
	struct stat st;
	struct dirent *e;
	char sub[4096];
	DIR *d;

	if (stat(path, &st) || !S_ISDIR(st.st_mode)) {
		run_file(path);
		return;
	}
	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (*e->d_name == '.')
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name);
		run_file(sub);
	}
	if (d)
		closedir(d);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: %s FILE|DIRECTORY...\n", argv[0]);
		return 2;
	}
	for (int i = 1; i < argc; i++)
		run(argv[i]);
	printf("%u passed, %u failed\n", passed, failed);
	return failed || !passed;
}
