#include "lib/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>

#include "lib/io.h"
#include "lib/own.h"
#include "tests/unit/unit.h"

#define QUESTION "Secret: "

/* Somebody who types when asked, and sees what is shown. */
struct typist {
	int fd;
	const char *types;
	size_t n_types;
	char seen[256];
};

static volatile sig_atomic_t interrupts;

static void
note(int signal_number)
{
	(void)signal_number;
	interrupts++;
}

static void
see_until(struct typist *t, const char *end)
{
	size_t n = strlen(t->seen);

	while (strstr(t->seen, end) == NULL && n + 1 < sizeof(t->seen)) {
		ssize_t r = read(t->fd, t->seen + n, sizeof(t->seen) - 1 - n);

		if (r <= 0)
			break;
		n += (size_t)r;
	}
}

static void *
type(void *arg)
{
	struct typist *t = arg;

	see_until(t, QUESTION);
	(void)io_write_full(t->fd, t->types, t->n_types);
	see_until(t, "\n");
	return NULL;
}

static bool
is_shown(int tty)
{
	struct termios now;

	assert_int_equal(tcgetattr(tty, &now), 0);
	return (now.c_lflag & ECHO) != 0 && (now.c_lflag & ISIG) != 0;
}

/* What prompt_secret() makes of what is typed. */
static int
ask(const char *types, size_t n, char *dst, size_t size)
{
	struct typist t = { .types = types, .n_types = n };
	char name[64];
	auto_close int ours = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	auto_close int tty = -1;
	pthread_t thread;
	int r;

	assert_true(ours >= 0);
	assert_int_equal(grantpt(ours), 0);
	assert_int_equal(unlockpt(ours), 0);
	assert_int_equal(ptsname_r(ours, name, sizeof(name)), 0);
	tty = openat(AT_FDCWD, name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(tty >= 0);
	t.fd = ours;
	assert_int_equal(pthread_create(&thread, NULL, type, &t), 0);
	r = prompt_secret(tty, QUESTION, dst, size);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_string_equal(t.seen, QUESTION "\r\n");
	assert_true(is_shown(tty));
	return r;
}

static void
takes_what_is_typed_and_shows_nothing(void **state)
{
	char dst[8];

	(void)state;
	assert_int_equal(ask("secret\n", 7, dst, sizeof(dst)), 6);
	assert_string_equal(dst, "secret");
	assert_int_equal(ask("\n", 1, dst, sizeof(dst)), 0);
	assert_string_equal(dst, "");
	assert_int_equal(ask("abx\x7f"
			     "c\x1a\n",
			     7, dst, sizeof(dst)),
			 4);
	assert_string_equal(dst, "abc\x1a");
	assert_int_equal(ask("1234567\n", 8, dst, sizeof(dst)), 7);
}

static void
refuses_what_is_no_secret(void **state)
{
	static const char nothing[8];
	char dst[8];

	(void)state;
	assert_int_equal(ask("12345678\n", 9, dst, sizeof(dst)), -EMSGSIZE);
	assert_memory_equal(dst, nothing, sizeof(dst));
	assert_int_equal(ask("\x04", 1, dst, sizeof(dst)), -ENODATA);
	assert_int_equal(ask("half\x04", 5, dst, sizeof(dst)), -ENODATA);
	assert_memory_equal(dst, nothing, sizeof(dst));
	assert_int_equal(ask("a\0b\n", 4, dst, sizeof(dst)), -EINVAL);
}

static void
an_interrupt_comes_when_the_terminal_is_as_before(void **state)
{
	struct sigaction act = { .sa_handler = note };
	char dst[8];

	(void)state;
	assert_int_equal(sigaction(SIGINT, &act, NULL), 0);
	interrupts = 0;
	assert_int_equal(ask("sec\x03", 4, dst, sizeof(dst)), -EINTR);
	assert_int_equal(interrupts, 1);
}

static void
a_file_is_no_terminal(void **state)
{
	auto_close int fd = openat(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);
	char dst[8];

	(void)state;
	assert_int_equal(prompt_secret(fd, QUESTION, dst, sizeof(dst)), -ENOTTY);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_what_is_typed_and_shows_nothing),
		cmocka_unit_test(refuses_what_is_no_secret),
		cmocka_unit_test(an_interrupt_comes_when_the_terminal_is_as_before),
		cmocka_unit_test(a_file_is_no_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
