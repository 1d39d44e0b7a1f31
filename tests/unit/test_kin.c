/* Whether a pid is still the process that it was. */
#include "daemon/supervisor/kin.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/own.h"
#include "tests/unit/unit.h"

static struct board_process
sleeper(void)
{
	struct board_process p = { .asked_usec = clock_boot_usec() };

	p.pid = fork();
	assert_true(p.pid >= 0);
	if (p.pid == 0) {
		(void)pause();
		_exit(0);
	}
	p.born_usec = clock_boot_usec();
	return p;
}

static void
told_by_when_it_was_started(void **state)
{
	const struct board_process p = sleeper();
	struct board_process other = p;
	int fd;

	(void)state;
	if (kin_find(&p, &fd) == KIN_UNKNOWN)
		skip(); /* /proc says nothing of others here */
	assert_true(fd >= 0);
	assert_false(kin_ended(fd));
	other.born_usec -= USEC_PER_SEC; /* the pid has another owner since */
	other.asked_usec -= USEC_PER_SEC;
	close_fd(&fd);
	assert_int_equal(kin_find(&other, &fd), KIN_GONE);
	assert_int_equal(fd, -1);
	other.born_usec += 60 * USEC_PER_SEC;
	other.asked_usec += 60 * USEC_PER_SEC;
	assert_int_equal(kin_find(&other, &fd), KIN_GONE);
	assert_int_equal(kill(p.pid, SIGKILL), 0);
	assert_int_equal(waitpid(p.pid, NULL, 0), p.pid);
}

static void
told_when_it_has_ended(void **state)
{
	const struct board_process p = sleeper(), none = { .pid = 0 };
	uint64_t begin = clock_usec();
	int fd;

	(void)state;
	assert_int_not_equal(kin_find(&p, &fd), KIN_GONE);
	kin_wait(fd, begin + 50 * USEC_PER_MSEC);
	assert_true(clock_usec() - begin >= 50 * USEC_PER_MSEC);
	assert_int_equal(kill(p.pid, SIGKILL), 0);
	kin_wait(fd, clock_usec() + 60 * USEC_PER_SEC);
	assert_true(kin_ended(fd));
	close_fd(&fd);
	assert_int_equal(kin_find(&p, &fd), KIN_GONE); /* a zombie is nobody */
	assert_int_equal(waitpid(p.pid, NULL, 0), p.pid);
	assert_int_equal(kin_find(&p, &fd), KIN_GONE);
	assert_int_equal(kin_find(&none, &fd), KIN_GONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(told_by_when_it_was_started),
		cmocka_unit_test(told_when_it_has_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
