/* The command line that goes on where this one was interrupted. */
#pragma once

#include <stddef.h>

struct client;

/* Tells it, quoted for a shell. skip_existing: what is there already was put there by this command,
 * so that "--if-exists skip" is right. */
void resume_tell(struct client *c, int skip_existing);

/* Writes word quoted for a shell, cut to size. Returns dst. */
char *resume_quote(char *dst, size_t size, const char *word);
