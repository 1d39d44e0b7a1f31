/* Columns of text under each other. Cells are text fit to show (report_text()); they are copied. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct table_column {
	const char *title;
	bool right;  /* aligned to the right */
	bool shrink; /* gives way where the line is too long; its beginning is left out */
};

struct table;

/* NULL without memory. table_free takes NULL and returns NULL. */
struct table *table_new(const struct table_column *columns, size_t n);
struct table *table_free(struct table *t);

/* The next cell, row after row; without memory it stays empty. */
void table_add(struct table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints titles and rows, lines of at most width characters (0: any) where a column can shrink. */
void table_print(const struct table *t, FILE *to, size_t width, const char *title_on,
		 const char *title_off);
