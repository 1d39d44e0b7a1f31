/*
 * What must be known of a configuration text before libconfig sees it: that library recurses as
 * deep as the text nests, lets large integers wrap, ends a string at \x00, and takes a comment or a
 * string without an end for the end of the file. For daemon/config only. Pure.
 */
#pragma once

#include "daemon/config/config.h"

enum { SCAN_DEPTH_MAX = 8, SCAN_INTEGER_DIGITS = 9 };

/* 0, or -EINVAL and a problem. */
int scan_check(const char *text, struct config_problems *problems);
