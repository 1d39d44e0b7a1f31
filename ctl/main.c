#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/command.h"
#include "ctl/complete.h"
#include "ctl/options.h"
#include "ctl/run.h"

/* Short words are for fingers; scripts write them out. */
static bool
prefixes_allowed(const struct options *o)
{
	return isatty(STDOUT_FILENO) == 1 && o->value[OPTION_JSON] == NULL;
}

static int
help(const struct options *o, size_t skip)
{
	const struct command *c = NULL;
	size_t used;

	if (o->n_words > skip) {
		c = command_find(o->words + skip, o->n_words - skip, prefixes_allowed(o), &used);
		if (c == NULL)
			return EXIT_USAGE;
	}
	command_help(stdout, c);
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_REFUSED;
}

int
main(int argc, char **argv)
{
	const struct command *c;
	struct options o;
	size_t used;

	if (argc > 2 && strcmp(argv[1], "complete") == 0 && strcmp(argv[2], "--") == 0) {
		complete(argv + 3, argc - 3);
		return EXIT_DONE;
	}
	if (options_parse(argc, argv, false, &o) < 0)
		return EXIT_USAGE;
	if (o.value[OPTION_HELP] != NULL)
		return help(&o, 0);
	if (o.value[OPTION_VERSION] != NULL)
		return printf("ftctl %s\n", PACKAGE_VERSION) < 0 ? EXIT_REFUSED : EXIT_DONE;
	if (o.n_words == 0) {
		command_help(stderr, NULL);
		return EXIT_USAGE;
	}
	if (strcmp(o.words[0], "help") == 0)
		return help(&o, 1);
	c = command_find(o.words, o.n_words, prefixes_allowed(&o), &used);
	if (c == NULL)
		return EXIT_USAGE;
	return run(&o, c, o.words + used, o.n_words - used);
}
