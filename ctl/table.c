#include "ctl/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/own.h"

enum { GAP = 2, COLUMNS_MAX = 16, SHRUNK_MIN = 16 };

struct table {
	const struct table_column *columns;
	size_t n_columns;
	char **cells;
	size_t n_cells, size;
};

struct table *
table_new(const struct table_column *columns, size_t n)
{
	struct table *t = calloc(1, sizeof(*t));

	if (t == NULL || n > COLUMNS_MAX)
		return table_free(t);
	t->columns = columns;
	t->n_columns = n;
	return t;
}

struct table *
table_free(struct table *t)
{
	if (t == NULL)
		return NULL;
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
	return NULL;
}

static bool
grow(struct table *t)
{
	size_t size = t->size == 0 ? 64 : 2 * t->size;
	char **cells;

	if (t->n_cells < t->size)
		return true;
	cells = reallocarray(t->cells, size, sizeof(*cells));
	if (cells == NULL)
		return false;
	t->cells = cells;
	t->size = size;
	return true;
}

void
table_add(struct table *t, const char *format, ...)
{
	char *text = NULL;
	va_list ap;

	if (!grow(t))
		return;
	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	t->cells[t->n_cells++] = text;
}

static const char *
cell(const struct table *t, size_t row, size_t column)
{
	size_t i = row * t->n_columns + column;

	return i < t->n_cells && t->cells[i] != NULL ? t->cells[i] : "";
}

/* Characters, not bytes: those that continue one do not count. */
static size_t
characters(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* The last n characters. */
static const char *
last(const char *s, size_t n)
{
	size_t skip = characters(s) - n;

	for (; skip > 0; skip--)
		do
			s++;
		while (((unsigned char)*s & 0xc0) == 0x80);
	return s;
}

static void
measure(const struct table *t, size_t width, size_t widths[COLUMNS_MAX])
{
	size_t total = 0, longest, over;

	for (size_t c = 0; c < t->n_columns; c++) {
		longest = characters(t->columns[c].title);
		for (size_t r = 0; r < t->n_cells / t->n_columns; r++)
			if (characters(cell(t, r, c)) > longest)
				longest = characters(cell(t, r, c));
		widths[c] = longest;
		total += longest + (c > 0 ? GAP : 0);
	}
	over = width > 0 && total > width ? total - width : 0;
	for (size_t c = 0; c < t->n_columns; c++)
		if (t->columns[c].shrink && widths[c] > SHRUNK_MIN)
			widths[c] = widths[c] - SHRUNK_MIN > over ? widths[c] - over : SHRUNK_MIN;
}

static void
print_cell(const struct table *t, FILE *to, size_t column, const char *text, size_t width)
{
	bool end = column + 1 == t->n_columns;
	size_t n = characters(text);
	int pad;

	if (n > width) { /* only where it may shrink: never below SHRUNK_MIN */
		(void)fprintf(to, "...%s", last(text, width - 3));
		n = width;
	} else {
		pad = (int)(width - n);
		if (t->columns[column].right)
			(void)fprintf(to, "%*s%s", pad, "", text);
		else
			(void)fprintf(to, "%s%*s", text, end ? 0 : pad, "");
	}
	(void)fprintf(to, "%*s", end ? 0 : GAP, "");
}

void
table_print(const struct table *t, FILE *to, size_t width, const char *title_on,
	    const char *title_off)
{
	size_t widths[COLUMNS_MAX];

	measure(t, width, widths);
	(void)fputs(title_on, to);
	for (size_t c = 0; c < t->n_columns; c++)
		print_cell(t, to, c, t->columns[c].title, widths[c]);
	(void)fprintf(to, "%s\n", title_off);
	for (size_t r = 0; r < t->n_cells / t->n_columns; r++) {
		for (size_t c = 0; c < t->n_columns; c++)
			print_cell(t, to, c, cell(t, r, c), widths[c]);
		(void)fputc('\n', to);
	}
}
