#include "client/screen.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

enum { WIDTH_MIN = 20, WIDTH_UNKNOWN = 80, WIDTH_MAX = 250 };

bool
screen_can_draw(void)
{
	const char *term = getenv("TERM");

	return isatty(STDERR_FILENO) && term != NULL && strcmp(term, "dumb") != 0;
}

unsigned
screen_width(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return WIDTH_UNKNOWN;
	if (size.ws_col < WIDTH_MIN)
		return WIDTH_MIN;
	return size.ws_col > WIDTH_MAX ? WIDTH_MAX : size.ws_col;
}

unsigned
screen_cut(char *text, unsigned columns)
{
	mbstate_t state = { 0 };
	size_t left = strlen(text);
	unsigned used = 0;

	while (left > 0) {
		wchar_t c;
		size_t n = mbrtowc(&c, text, left, &state);
		int width;

		if (n == (size_t)-1 || n == (size_t)-2 || n == 0) {
			n = 1; /* not of this locale: a byte, a column */
			width = 1;
			memset(&state, 0, sizeof(state));
		} else {
			width = wcwidth(c);
		}
		if (width < 0)
			width = 1;
		if (used + (unsigned)width > columns)
			break;
		used += (unsigned)width;
		text += n;
		left -= n;
	}
	*text = '\0';
	return used;
}
