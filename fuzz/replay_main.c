/*
 * A fuzz target without a fuzzer: runs its entry point over every file of the directories named on
 * the command line, and over the beginnings of each. An empty directory is an error, for it tests
 * nothing.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "lib/err.h"
#include "lib/io.h"
#include "lib/own.h"

enum { INPUT_MAX = 1 << 20, CUT_MAX = 256 };

/* On a copy of just that length, so that a sanitizer sees a read past it. */
static int
run(const char *data, size_t len)
{
	auto_free uint8_t *copy = malloc(len > 0 ? len : 1);

	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, data, len);
	(void)LLVMFuzzerTestOneInput(copy, len);
	return 0;
}

/* The file and every beginning of it: how many inputs that were, or negative. */
static int
replay_file(int dir, const char *name)
{
	auto_free char *data = NULL;
	size_t len, n;
	int r;

	r = io_read_file(dir, name, INPUT_MAX, &data, &len);
	for (n = 0; r >= 0 && n < len && n < CUT_MAX; n++)
		r = run(data, n);
	if (r >= 0)
		r = run(data, len);
	return r < 0 ? r : (int)n + 1;
}

/* How many inputs the directory made, or negative. */
static int
replay_directory(const char *path)
{
	auto_dir DIR *d = opendir(path);
	struct dirent *e;
	int inputs = 0, r;

	if (d == NULL)
		return -errno;
	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		r = replay_file(dirfd(d), e->d_name);
		if (r < 0)
			return r;
		inputs += r;
	}
	return inputs > 0 ? inputs : -ENODATA;
}

int
main(int argc, char **argv)
{
	int r;

	if (argc < 2) {
		(void)fprintf(stderr, "usage: %s DIRECTORY...\n", argv[0]);
		return 2;
	}
	for (int i = 1; i < argc; i++) {
		r = replay_directory(argv[i]);
		if (r < 0) {
			(void)fprintf(stderr, "%s: %s\n", argv[i], err_text(r));
			return 1;
		}
		(void)printf("%s: %d inputs\n", argv[i], r);
	}
	return 0;
}
