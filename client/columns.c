#include "client/columns.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/num.h"
#include "lib/text.h"

char *
columns_name(char *dst, const struct entry *e)
{
	size_t n;

	(void)text_escape(dst, COLUMNS_NAME_MAX - 1, e->name.data != NULL ? e->name.data : "",
			  e->name.len);
	n = strlen(dst);
	if (e->type == ENTRY_DIR)
		memcpy(dst + n, "/", 2);
	return dst;
}

char *
columns_mode(char dst[COLUMNS_MODE_MAX], const struct entry *e)
{
	static const char types[] = {
		[ENTRY_FILE] = '-', [ENTRY_DIR] = 'd', [ENTRY_LINK] = 'l', [ENTRY_OTHER] = '?'
	};
	static const char bits[] = "rwxrwxrwx";

	dst[0] = types[e->type];
	for (unsigned i = 0; i < 9; i++)
		dst[1 + i] = e->mode & 0400U >> i ? bits[i] : '-';
	dst[10] = '\0';
	return dst;
}

char *
columns_time(char dst[COLUMNS_TIME_MAX], int64_t mtime_ns, bool exact)
{
	time_t seconds = (time_t)(mtime_ns / (int64_t)NSEC_PER_SEC);
	struct tm tm;

	if (mtime_ns % (int64_t)NSEC_PER_SEC < 0)
		seconds--;
	if (localtime_r(&seconds, &tm) == NULL)
		(void)snprintf(dst, COLUMNS_TIME_MAX, "%" PRId64, mtime_ns);
	else if (exact)
		(void)strftime(dst, COLUMNS_TIME_MAX, "%Y-%m-%d %H:%M:%S %z", &tm);
	else
		(void)strftime(dst, COLUMNS_TIME_MAX, "%Y-%m-%d %H:%M", &tm);
	return dst;
}

char *
columns_line(char *dst, const struct entry *e, bool human)
{
	char mode[COLUMNS_MODE_MAX], when[COLUMNS_TIME_MAX], size[NUM_TEXT_MAX];
	char name[COLUMNS_NAME_MAX];

	if (e->type != ENTRY_FILE)
		(void)snprintf(size, sizeof(size), "-");
	else if (human)
		(void)num_format_size(e->filesize, size);
	else
		(void)snprintf(size, sizeof(size), "%" PRIu64, e->filesize);
	(void)snprintf(dst, COLUMNS_LINE_MAX, "%s  %*s  %s  %s", columns_mode(mode, e),
		       human ? 10 : 13, size, columns_time(when, e->mtime_ns, false),
		       columns_name(name, e));
	return dst;
}
