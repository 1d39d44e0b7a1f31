#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config/config.h"
#include "lib/own.h"

void
config_problems_done(struct config_problems *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->list[i].text);
	free(p->list);
	*p = (struct config_problems){ 0 };
}

bool
config_problems_fatal(const struct config_problems *p)
{
	return p->fatal;
}

/* Where a problem of the line belongs: behind those of the lines before and of its own; what
 * concerns the whole file comes last. */
static size_t
place_of(const struct config_problems *p, int line)
{
	size_t i = p->n;

	if (line == 0)
		return i;
	while (i > 0 && (p->list[i - 1].line > line || p->list[i - 1].line == 0))
		i--;
	return i;
}

static int
insert(struct config_problems *p, struct config_problem problem)
{
	size_t at = place_of(p, problem.line);

	if (p->list == NULL)
		p->list = calloc(CONFIG_PROBLEMS_MAX, sizeof(*p->list));
	if (p->list == NULL)
		return -ENOMEM;
	memmove(&p->list[at + 1], &p->list[at], (p->n - at) * sizeof(*p->list));
	p->list[at] = problem;
	p->n++;
	return 0;
}

void
config_problem_add(struct config_problems *p, bool fatal, int line, const char *format, ...)
{
	auto_free char *text = NULL;
	va_list ap;
	int n;

	p->fatal = p->fatal || fatal;
	if (p->n == CONFIG_PROBLEMS_MAX)
		return;
	va_start(ap, format);
	n = vasprintf(&text, format, ap);
	va_end(ap);
	if (n < 0) {
		text = NULL;
		return;
	}
	if (insert(p, (struct config_problem){ .fatal = fatal, .line = line, .text = text }) == 0)
		text = NULL;
}

void
config_problems_print(const struct config_problems *p, FILE *to)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct config_problem *q = &p->list[i];

		(void)fprintf(to, "%s:", p->file);
		if (q->line > 0)
			(void)fprintf(to, "%d:", q->line);
		(void)fprintf(to, " %s%s\n", q->fatal ? "" : "warning: ", q->text);
	}
	if (p->n == CONFIG_PROBLEMS_MAX)
		(void)fprintf(to, "%s: there may be more\n", p->file);
}
