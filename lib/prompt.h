/*
 * A secret asked of somebody at a terminal, which does not show it and is as before afterwards,
 * also after Ctrl-C. No logging.
 */
#pragma once

#include <stddef.h>

/* The terminal of this process, whatever its standard streams are. Descriptor, or -errno where
 * there is none. */
int prompt_open(void);

/* Asks on the terminal; what was typed before does not count. dst (size bytes) gets what is typed,
 * NUL-terminated; the caller wipes it. Its length, -ENODATA: the end of input instead, -EMSGSIZE:
 * it does not fit, -EINVAL: it has a NUL, -EINTR (after Ctrl-C SIGINT was raised, too), -errno. */
int prompt_secret(int tty, const char *question, char *dst, size_t size);
