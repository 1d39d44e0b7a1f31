/*
 * The grammar of the file, checked before libconfig sees a text: that library loses memory at
 * syntax errors, recurses as deep as a text nests, compares every name with all others of its
 * group, lets large integers wrap, ends a string at \x00, and takes a comment or a string without
 * an end for the end of the file. What passes here it reads as it is meant. For daemon/config only.
 * Pure.
 */
#pragma once

#include "daemon/config/config.h"

enum {
	SYNTAX_DEPTH_MAX = 8,
	SYNTAX_NAMES_MAX = 4096,   /* settings in the whole file */
	SYNTAX_INTEGER_DIGITS = 9, /* always fits an int */
	SYNTAX_HEX_DIGITS = 7,
};

/* 0, or -EINVAL and one problem: the first. */
int syntax_check(const char *text, struct config_problems *problems);
