/* The user's ~/.netrc: what is found is a password, and comments before it change nothing. */
#include <string.h>

#include "client/netrc.h"
#include "fuzz/fuzz.h"

static const char comment[] = "# mine\n\n#machine h password x\n";
enum { COMMENT_LINES = 3 };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct secret one = { .text = NULL }, two = { .text = NULL };
	unsigned line = 0, line_later = 0;
	size_t before = strlen(comment);
	char *copy;
	int r;

	if (size > SECRET_FILE_MAX)
		return 0;
	copy = malloc(before + size);
	must(copy != NULL);
	memcpy(copy, comment, before);
	if (size > 0)
		memcpy(copy + before, data, size);
	r = netrc_find(copy + before, size, "h", "u", &one, &line);
	must(netrc_find(copy, before + size, "h", "u", &two, &line_later) == r);
	must(one.len <= SECRET_PASSWORD_MAX && one.len == two.len);
	must(r < 0 || strcmp(one.text, two.text) == 0);
	must(r < 0 ? one.text == NULL : strlen(one.text) == one.len);
	must(line == 0 || memchr(data, '\0', size) != NULL || line_later == line + COMMENT_LINES);
	secret_done(&one);
	secret_done(&two);
	free(copy);
	return 0;
}
