#include "ctl/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>

#include "lib/clock.h"
#include "lib/num.h"
#include "lib/own.h"

enum { LONG_BASE = 256, SECONDS_MAX = 365 * 86400 };

const struct option_row option_rows[OPTIONS] = {
#define OPTION(id, name, letter, argument, kind, help) \
	{ name, letter, argument, OPTION_##kind, help },
#include "ctl/options.def"
#undef OPTION
};

static int
argument_kind(const struct option_row *row)
{
	if (row->argument == NULL)
		return no_argument;
	return row->argument[0] == '[' ? optional_argument : required_argument;
}

/* What getopt_long() wants to have of the table; long options answer LONG_BASE + id. */
static void
tables(struct option longs[OPTIONS + 1], char shorts[3 * OPTIONS + 2], bool quiet)
{
	char *s = shorts;

	if (quiet)
		*s++ = ':';
	for (int i = 0; i < OPTIONS; i++) {
		const struct option_row *row = &option_rows[i];

		longs[i] = (struct option){ row->name, argument_kind(row), NULL, LONG_BASE + i };
		if (row->letter == 0)
			continue;
		*s++ = row->letter;
		for (int n = argument_kind(row); n > 0;
		     n--) /* one colon: required, two: optional */
			*s++ = ':';
	}
	*s = '\0';
	longs[OPTIONS] = (struct option){ 0 };
}

static int
id_of(int answer)
{
	if (answer >= LONG_BASE)
		return answer - LONG_BASE;
	for (int i = 0; i < OPTIONS; i++)
		if (option_rows[i].letter == answer)
			return i;
	return -1;
}

int
options_parse(int argc, char **argv, bool quiet, struct options *ret)
{
	struct option longs[OPTIONS + 1];
	char shorts[3 * OPTIONS + 2];
	struct options o = { 0 };
	int c, id;

	tables(longs, shorts, quiet);
	optind = 0; /* begins anew */
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		id = id_of(c);
		if (id >= 0)
			o.value[id] = optarg != NULL ? optarg : "";
		else if (!quiet)
			return -EINVAL;
	}
	o.words = argv + optind;
	o.n_words = (size_t)(argc - optind);
	*ret = o;
	return 0;
}

int
options_seconds(const struct options *o, enum option_id id, uint64_t fallback, uint64_t *ret_usec)
{
	const char *text = o->value[id];
	uint64_t n;

	if (text == NULL || text[0] == '\0') {
		*ret_usec = fallback;
		return 0;
	}
	if (num_parse_u64(text, SECONDS_MAX, &n) == 0)
		*ret_usec = n * USEC_PER_SEC;
	else if (num_parse_duration(text, &n) == 0)
		*ret_usec = n;
	else {
		(void)fprintf(stderr, "ftctl: --%s must be seconds, not %s\n", option_rows[id].name,
			      text);
		return -EINVAL;
	}
	return 0;
}
