/*
 * The types of values: from a setting of the file into a field. (The way back is show.c.)
 * For daemon/config only. No logging; what a setting says is bounded by its row of options.def.
 */
#pragma once

#include <stdbool.h>

#include <libconfig.h>

#include "daemon/config/option.h"

/* A list ( ) or an array [ ]; the file may use either. */
bool value_is_list(const config_setting_t *s);

/* Reads a value that is no list into the field of the struct at base.
 * -EINVAL: it is not what option_describe() says; the field is as it was. */
int value_read(const struct option *o, const config_setting_t *s, void *base);

/* What the setting says, cut and made fit to show: 12, "word", a list. */
enum { VALUE_SHOWN_MAX = 96 };
const char *value_show(const config_setting_t *s, char *buf);

/* Whether two settings say the same; of lists only empty ones ever do. */
bool value_same(const config_setting_t *a, const config_setting_t *b);
