/* One command from its words to the exit status, once or again and again. */
#pragma once

#include "ctl/command.h"
#include "ctl/options.h"

/* arguments: what follows the words of the command. Returns the exit status. */
int run(const struct options *o, const struct command *c, char *const *arguments, size_t n);

/* The socket to use: option, environment, default. */
const char *run_socket(const struct options *o);
