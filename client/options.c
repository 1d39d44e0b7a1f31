#include "client/options.h"

#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "lib/num.h"
#include "lib/own.h"
#include "lib/text.h"

const struct option_row option_rows[OPTION_COUNT] = {
#define OPTION(stem, letter, word, argument, help) { letter, word, argument, help },
#include "client/options.def"
#undef OPTION
};

_Static_assert((int)OPTION_COUNT <= 64, "options.given has 64 bits");

/* Values that getopt_long() gives back: rows without a letter lie above all characters. */
enum { VALUE_BASE = 256 };

static int
value_of(unsigned row)
{
	return VALUE_BASE + (int)row;
}

/* Both spellings of the allowed rows, as getopt_long() wants them. */
static void
build(uint64_t allowed, struct option *words, char *letters)
{
	size_t n = 0;

	*letters++ = ':'; /* tell a missing argument from an unknown option */
	for (unsigned i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_rows[i];

		if (!(allowed & UINT64_C(1) << i))
			continue;
		words[n++] = (struct option){ .name = row->word,
					      .has_arg = row->argument != NULL ? required_argument
									       : no_argument,
					      .val = value_of(i) };
		if (row->letter != 0) {
			*letters++ = row->letter;
			if (row->argument != NULL)
				*letters++ = ':';
		}
	}
	*letters = '\0';
	words[n] = (struct option){ .name = NULL };
}

static int
row_of(int value, uint64_t allowed)
{
	if (value >= VALUE_BASE)
		return value - VALUE_BASE;
	for (unsigned i = 0; i < OPTION_COUNT; i++)
		if (allowed & UINT64_C(1) << i && option_rows[i].letter == value)
			return (int)i;
	return -1;
}

static int
parse_if_exists(const char *text, enum if_exists *ret)
{
	static const struct {
		const char *word;
		enum if_exists value;
	} words[] = {
		{ "replace", IF_EXISTS_REPLACE },
		{ "fail", IF_EXISTS_FAIL },
		{ "keep-both", IF_EXISTS_KEEP_BOTH },
		{ "skip", IF_EXISTS_SKIP },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(words[i].word, text) == 0) {
			*ret = words[i].value;
			return 0;
		}
	return -EINVAL;
}

static int
parse_digest(const char *text, enum digest_algorithm *ret)
{
	if (strcmp(text, digest_name(DIGEST_XXH3)) == 0)
		*ret = DIGEST_XXH3;
	else if (strcmp(text, digest_name(DIGEST_SHA256)) == 0)
		*ret = DIGEST_SHA256;
	else
		return -EINVAL;
	return 0;
}

/* With a parser of lib/num.h; nothing and never make no sense here. */
static int
parse_positive(int (*parse)(const char *text, uint64_t *ret), const char *text, uint64_t *ret)
{
	uint64_t value;

	if (parse(text, &value) < 0 || value == 0)
		return -EINVAL;
	*ret = value;
	return 0;
}

static int
parse_connections(const char *text, uint64_t *ret)
{
	uint64_t value;

	if (num_parse_u64(text, OPTIONS_CONNECTIONS_MAX, &value) < 0 || value == 0)
		return -EINVAL;
	*ret = value;
	return 0;
}

static int
add_glob(const char **globs, size_t *n, const char *glob)
{
	if (*n == OPTIONS_GLOBS_MAX)
		return -E2BIG;
	globs[(*n)++] = glob;
	return 0;
}

/* Rows without argument leave nothing but their bit. */
static int
take(struct options *o, int row, const char *text)
{
	switch (row) {
	case OPTION_check:
		o->check = text;
		return 0;
	case OPTION_ca:
		o->ca = text;
		return 0;
	case OPTION_cert:
		o->cert = text;
		return 0;
	case OPTION_key:
		o->key = text;
		return 0;
	case OPTION_identity:
		o->identity = text;
		return 0;
	case OPTION_password_command:
		o->password_command = text;
		return 0;
	case OPTION_pin:
		return fingerprint_parse(text, o->pin);
	case OPTION_include:
		return add_glob(o->include, &o->n_include, text);
	case OPTION_exclude:
		return add_glob(o->exclude, &o->n_exclude, text);
	case OPTION_if_exists:
		return parse_if_exists(text, &o->if_exists);
	case OPTION_digest:
		return parse_digest(text, &o->digest);
	case OPTION_connections:
		return parse_connections(text, &o->connections);
	case OPTION_limit:
		return parse_positive(num_parse_rate, text, &o->limit);
	case OPTION_retry_for:
		return num_parse_duration(text, &o->retry_usec);
	case OPTION_timeout:
		return parse_positive(num_parse_duration, text, &o->timeout_usec);
	default:
		return 0;
	}
}

/* What getopt_long() could not use: the nearest word helps people who mistyped it. */
static void
explain_unknown(const char *word, uint64_t allowed, char *why)
{
	const char *names[OPTION_COUNT], *nearest = NULL;
	char shown[80];
	size_t n = 0;

	for (unsigned i = 0; i < OPTION_COUNT; i++)
		if (allowed & UINT64_C(1) << i)
			names[n++] = option_rows[i].word;
	if (strncmp(word, "--", 2) == 0)
		nearest = text_nearest(word + 2, names, n);
	(void)text_escape(shown, sizeof(shown), word, strlen(word));
	(void)snprintf(why, OPTIONS_WHY_MAX, "unknown option %s%s%s%s", shown,
		       nearest != NULL ? " (did you mean --" : "", nearest != NULL ? nearest : "",
		       nearest != NULL ? "?)" : "");
}

static void
explain_value(int row, const char *text, char *why)
{
	char shown[80];

	(void)text_escape(shown, sizeof(shown), text, strlen(text));
	(void)snprintf(why, OPTIONS_WHY_MAX, "--%s: \"%s\" is not %s: %s", option_rows[row].word,
		       shown, option_rows[row].argument, option_rows[row].help);
}

/* Those of TLS make no sense beside plain text, nor a key without its certificate. */
static int
check_tls(const struct options *o, char *why)
{
	const char *wrong = NULL;

	if (options_has(o, OPTION_BIT(plain)) && options_want_tls(o))
		wrong = "--plain means no TLS: it goes with none of --tls, --ca, --pin, --cert, "
			"--identity";
	else if (o->key != NULL && o->cert == NULL)
		wrong = "--key is the key of a certificate: --cert is missing";
	if (wrong == NULL)
		return 0;
	(void)snprintf(why, OPTIONS_WHY_MAX, "%s", wrong);
	return -EINVAL;
}

int
options_parse(int argc, char **argv, uint64_t allowed, struct options *ret, char *why)
{
	struct option words[OPTION_COUNT + 1];
	char letters[2 * OPTION_COUNT + 2];
	struct options o = { .limit = NUM_UNLIMITED };
	int value, row;

	build(allowed, words, letters);
	opterr = 0;
	optind = 0; /* begin anew, wherever an earlier call ended */
	while ((value = getopt_long(argc, argv, letters, words, NULL)) != -1) {
		if (value == ':') {
			(void)snprintf(why, OPTIONS_WHY_MAX, "%s needs a value", argv[optind - 1]);
			return -EINVAL;
		}
		row = value == '?' ? -1 : row_of(value, allowed);
		if (row < 0) {
			char letter[] = { '-', (char)optopt, '\0' };

			explain_unknown(optopt > 0 && optopt < VALUE_BASE ? letter
									  : argv[optind - 1],
					allowed, why);
			return -EINVAL;
		}
		if (take(&o, row, optarg) < 0) {
			explain_value(row, optarg, why);
			return -EINVAL;
		}
		o.given |= UINT64_C(1) << row;
	}
	if (check_tls(&o, why) < 0)
		return -EINVAL;
	*ret = o;
	return optind;
}

bool
options_has(const struct options *o, uint64_t bits)
{
	return (o->given & bits) != 0;
}

bool
options_want_tls(const struct options *o)
{
	return options_has(o, OPTION_BIT(tls) | OPTION_BIT(ca) | OPTION_BIT(pin) |
				  OPTION_BIT(cert) | OPTION_BIT(identity));
}

static bool
matches(const char *const *globs, size_t n, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *leaf = slash != NULL ? slash + 1 : path;

	for (size_t i = 0; i < n; i++)
		if (fnmatch(globs[i], path, 0) == 0 || fnmatch(globs[i], leaf, 0) == 0)
			return true;
	return false;
}

bool
options_wants(const struct options *o, const char *path, bool directory)
{
	if (matches(o->exclude, o->n_exclude, path))
		return false;
	return directory || o->n_include == 0 || matches(o->include, o->n_include, path);
}

bool
options_wants_below(const struct options *o, char *path, bool directory)
{
	for (char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		bool inside;

		*slash = '\0';
		inside = options_wants(o, path, true);
		*slash = '/';
		if (!inside)
			return false;
	}
	return options_wants(o, path, directory);
}

const char *
options_if_exists(const struct options *o)
{
	switch (o->if_exists) {
	case IF_EXISTS_REPLACE:
		return "replace";
	case IF_EXISTS_FAIL:
	case IF_EXISTS_SKIP:
		return "fail";
	case IF_EXISTS_KEEP_BOTH:
		return "keep_both";
	case IF_EXISTS_UNSAID:
		return NULL;
	}
	return NULL;
}
