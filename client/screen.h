/* What a terminal is like. */
#pragma once

#include <stdbool.h>

/* Whether moving lines can be drawn on the standard error. */
bool screen_can_draw(void);

/* Columns of the terminal at the standard error, 20 to 250; 80 where nobody knows. */
unsigned screen_width(void);

/* Cuts text so that it takes at most columns; returns the columns that it takes. */
unsigned screen_cut(char *text, unsigned columns);
