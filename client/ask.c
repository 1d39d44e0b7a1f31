#include "client/ask.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { ANSWER_MAX = 16 };

bool
ask_possible(void)
{
	return isatty(STDIN_FILENO) != 0 && isatty(STDERR_FILENO) != 0;
}

int
ask_yes(const char *question)
{
	char answer[ANSWER_MAX];
	size_t len = 0;
	ssize_t n;
	char c;

	(void)tcflush(STDIN_FILENO, TCIFLUSH);
	(void)fprintf(stderr, "%s (yes/no) ", question);
	(void)fflush(stderr);
	while ((n = read(STDIN_FILENO, &c, 1)) == 1 && c != '\n')
		if (len < sizeof(answer))
			answer[len++] = c;
	if (n < 0)
		return errno == EINTR ? -EINTR : 0;
	return len == 3 && memcmp(answer, "yes", 3) == 0;
}
