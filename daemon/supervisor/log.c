#include "daemon/supervisor/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "daemon/supervisor/supervisor.h"
#include "lib/clock.h"

/* Refusals come as fast as strangers connect: so many lines a second, the rest is only counted. */
enum { REFUSALS_A_SECOND = 20 };

static bool to_journal;
static int level_now = LOG_INFO;

/* --- what is written */

/* Is our stderr what systemd connected to the journal? (systemd.exec(5), JOURNAL_STREAM) */
static bool
stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (stream == NULL || sscanf(stream, "%llu:%llu", &dev, &ino) != 2)
		return false;
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

void
log_start(enum config_log_target target, enum config_log_level level)
{
	to_journal =
	    target == CONFIG_LOG_JOURNAL || (target == CONFIG_LOG_AUTO && stderr_is_journal());
	level_now = (int)level;
}

void
log_set_level(enum config_log_level level)
{
	level_now = (int)level;
}

void
log_fields_init(struct log_fields *f)
{
	f->n = 0;
	f->used = 0;
}

static void
field_took(struct log_fields *f, size_t len)
{
	f->v[f->n++] = (struct iovec){ .iov_base = f->text + f->used, .iov_len = len };
	f->used += len;
}

void
log_field(struct log_fields *f, const char *format, ...)
{
	size_t room = sizeof(f->text) - f->used;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(f->text + f->used, room, format, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < room && f->n < LOG_FIELDS_MAX)
		field_took(f, (size_t)n);
}

void
log_field_bytes(struct log_fields *f, const char *key, const char *bytes, size_t len)
{
	size_t k = strlen(key);

	if (f->n == LOG_FIELDS_MAX || k + len > sizeof(f->text) - f->used)
		return;
	memcpy(f->text + f->used, key, k);
	memcpy(f->text + f->used + k, bytes, len);
	field_took(f, k + len);
}

void
log_emit(int level, const char *line, struct log_fields *f)
{
	char stamp[CLOCK_TEXT_MAX];

	if (level > level_now)
		return;
	if (to_journal) {
		log_field(f, "MESSAGE=%s", line);
		log_field(f, "PRIORITY=%d", level);
		if (sd_journal_sendv(f->v, f->n) == 0)
			return;
	}
	(void)dprintf(STDERR_FILENO, "%s %s\n", clock_format_rfc3339(clock_real_ns(), stamp), line);
}

void
log_line(int level, const char *format, ...)
{
	struct log_fields f;
	char line[LOG_LINE_MAX];
	va_list ap;

	if (level > level_now)
		return;
	va_start(ap, format);
	(void)vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	log_fields_init(&f);
	log_emit(level, line, &f);
}

void
log_event(int level, const char *message_id, const char *format, ...)
{
	struct log_fields f;
	char line[LOG_LINE_MAX];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	log_fields_init(&f);
	log_field(&f, "MESSAGE_ID=%s", message_id);
	log_emit(level, line, &f);
}

void
log_refusal(const union addr *peer, const char *user, const char *code, const char *why)
{
	static uint64_t second, in_second, unsaid;
	uint64_t now = clock_usec() / USEC_PER_SEC;
	char line[LOG_LINE_MAX], host[ADDR_TEXT_MAX];
	struct log_fields f;

	if (now != second) {
		if (unsaid > 0)
			log_line(LOG_INFO, "%llu more refusals", (unsigned long long)unsaid);
		second = now;
		in_second = 0;
		unsaid = 0;
	}
	if (++in_second > REFUSALS_A_SECOND) {
		unsaid++;
		return;
	}
	log_fields_init(&f);
	(void)addr_format(peer, host);
	(void)snprintf(line, sizeof(line), "%s refused: %s (%s)%s%s", host, code, why,
		       user == NULL      ? ""
		       : user[0] == '\0' ? ", unknown user"
					 : ", user ",
		       user != NULL ? user : "");
	log_field(&f, "MESSAGE_ID=%s", MESSAGE_ID_REFUSAL);
	if (user != NULL && user[0] != '\0')
		log_field(&f, "FTD_USER=%s", user);
	log_field(&f, "FTD_PEER=%s", host);
	log_field(&f, "FTD_RESULT=%s", code);
	log_emit(LOG_INFO, line, &f);
}

void
log_login(const struct session *s)
{
	char line[LOG_LINE_MAX], host[ADDR_TEXT_MAX];
	struct log_fields f;

	log_fields_init(&f);
	(void)addr_format(&s->peer, host);
	(void)snprintf(line, sizeof(line), "s%llu %s logged in as %s",
		       (unsigned long long)s->number, host, s->user);
	log_field(&f, "MESSAGE_ID=%s", MESSAGE_ID_LOGIN);
	log_field(&f, "FTD_SESSION=s%llu", (unsigned long long)s->number);
	log_field(&f, "FTD_PEER=%s", host);
	log_field(&f, "FTD_USER=%s", s->user);
	log_emit(LOG_INFO, line, &f);
}
