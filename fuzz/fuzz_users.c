/* The users file: what is read is written and read again the same. */
#include <errno.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "lib/users.h"

/* No name, hash or label may break out of its field, and passwords are quoted nowhere. */
static void
check_user(const struct user *u)
{
	struct users_reader reader;
	char line[USERS_LINE_MAX], why[USERS_WHY_MAX];
	struct user again;
	int n = users_format(u, line);

	must(n > 0 && n < USERS_LINE_MAX && strlen(line) == (size_t)n);
	must(strchr(line, '\n') == NULL && users_name_is_valid(u->name, strlen(u->name)));
	reader = (struct users_reader){ .at = line, .end = line + n };
	must(users_next(&reader, &again, why) == 1 && reader.at == reader.end);
	again.line = u->line;
	must(memcmp(&again, u, sizeof(again)) == 0);
}

static void
check_why(const char *why, int line)
{
	must(line > 0 && why[0] != '\0' && strlen(why) < USERS_WHY_MAX);
	for (; *why != '\0'; why++)
		must((uint8_t)*why >= 0x20 && *why != 0x7f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct users_reader reader = { .at = text, .end = text + size };
	char why[USERS_WHY_MAX] = "";
	struct user u;
	int r, checked, line = 0;

	while ((r = users_next(&reader, &u, why)) > 0) {
		must(reader.begin >= text && reader.begin < reader.at && u.line == reader.line);
		check_user(&u);
	}
	must(r == 0 || r == -EINVAL);
	if (r < 0)
		check_why(why, reader.line);
	checked = users_check(text, size, &line, why);
	must(checked == 0 || checked == -EINVAL);
	must(checked == -EINVAL || r == 0);
	if (checked < 0)
		check_why(why, line);
	must(r == 0 || line == reader.line);
	return 0;
}
