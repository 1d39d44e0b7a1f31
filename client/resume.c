#include "client/resume.h"

#include <stdio.h>
#include <string.h>

#include "client/command.h"
#include "lib/text.h"

enum { WORD_MAX = 4200, LINE_MAX_BYTES = 16384 };

char *
resume_quote(char *dst, size_t size, const char *word)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				    "%+,-./:=@_[]";
	size_t n = 0;

	if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
		(void)snprintf(dst, size, "%s", word);
		return dst;
	}
	if (size < 8) {
		dst[0] = '\0';
		return dst;
	}
	dst[n++] = '\'';
	for (; *word != '\0' && n + 6 < size; word++) {
		if (*word == '\'') {
			memcpy(dst + n, "'\\''", 4);
			n += 4;
		} else {
			dst[n++] = *word;
		}
	}
	dst[n++] = '\'';
	dst[n] = '\0';
	return dst;
}

void
resume_tell(struct client *c, int skip_existing)
{
	char line[LINE_MAX_BYTES], word[WORD_MAX], shown[LINE_MAX_BYTES];
	size_t n;

	(void)snprintf(line, sizeof(line), "ft %s%s", c->command->name,
		       skip_existing ? " --if-exists skip" : "");
	for (char **arg = c->argv; *arg != NULL; arg++) {
		n = strlen(line);
		(void)snprintf(line + n, sizeof(line) - n, " %s",
			       resume_quote(word, sizeof(word), *arg));
	}
	report_warning(&c->report, "to go on: %s",
		       text_escape(shown, sizeof(shown), line, strlen(line)));
}
