#include "ctl/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "ctl/call.h"
#include "ctl/local.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/own.h"
#include "lib/text.h"

#define SOCKET_DEFAULT "/run/ftd/control"
#define WATCH_SEC 2
#define WATCH_MIN_USEC (USEC_PER_SEC / 10)

struct job {
	const struct options *options;
	const struct command *command;
	json_t *request;
	const char *socket;
	uint64_t timeout_usec;
	struct wire wire;
};

/* ---- the request ---- */

/* "--dry-run" is the key dry_run. */
static int
add_option(json_t *request, enum option_id id, const char *value)
{
	const struct option_row *row = &option_rows[id];
	char key[32];

	(void)snprintf(key, sizeof(key), "%s", row->name);
	for (char *c = key; *c != '\0'; c++)
		if (*c == '-')
			*c = '_';
	return json_object_set_new(request, key,
				   row->argument == NULL ? json_true() : json_string(value));
}

static int
add_options(const struct job *j)
{
	for (int i = 0; i < OPTIONS; i++) {
		const char *value = j->options->value[i];

		if (value == NULL)
			continue;
		if (!command_takes(j->command, (enum option_id)i)) {
			(void)fprintf(stderr, "ftctl: %s does not take --%s\n", j->command->words,
				      option_rows[i].name);
			return EXIT_USAGE;
		}
		if (option_rows[i].kind == OPTION_REMOTE &&
		    add_option(j->request, (enum option_id)i, value) < 0) {
			(void)fprintf(stderr, "ftctl: --%s is not UTF-8 text\n",
				      option_rows[i].name);
			return EXIT_USAGE;
		}
	}
	return EXIT_DONE;
}

static int
add_argument(const struct job *j, const char *key, const char *value)
{
	if (json_object_set_new(j->request, key, json_string(value)) == 0)
		return EXIT_DONE;
	(void)fputs("ftctl: the argument is not UTF-8 text\n", stderr);
	return EXIT_USAGE;
}

static int
add_arguments(const struct job *j, char *const *arguments, size_t n)
{
	const struct verb *v = j->command->verb;
	bool instead = v->user_instead && j->options->value[OPTION_USER] != NULL;
	const char *const keys[] = { v->key, v->key2, v->key3 };
	size_t first = !instead && (v->key != NULL || v->takes_file), second = v->key2 != NULL;
	size_t most = first + second + (v->key3 != NULL);
	int r = EXIT_DONE;

	if (n > most || n < (v->required ? first : 0) + second) {
		(void)fputs(n > most ? "ftctl: too many words\n"
				     : "ftctl: an argument is missing\n",
			    stderr);
		command_help(stderr, j->command);
		return EXIT_USAGE;
	}
	for (size_t i = 0; i < n && r == EXIT_DONE; i++)
		if (keys[i + instead] != NULL)
			r = add_argument(j, keys[i + instead], arguments[i]);
	if (r != EXIT_DONE || v->ask == NULL)
		return r;
	return v->ask(j->options, n > 0 ? arguments[0] : NULL, j->request);
}

/* ---- what can go wrong ---- */

static int
fail_call(const struct job *j, int r)
{
	if (r == -ENOENT || r == -ECONNREFUSED) {
		(void)fprintf(stderr, "ftctl: ftd is not running (%s: %s)\n", j->socket,
			      err_text(r));
		return EXIT_NOT_RUNNING;
	}
	if (r == -EACCES || r == -EPERM) {
		(void)fprintf(stderr, "ftctl: %s: %s; root and the group of the socket may\n",
			      j->socket, err_text(r));
		return EXIT_NOT_PERMITTED;
	}
	if (r == -ETIMEDOUT) {
		(void)fprintf(stderr, "ftctl: no answer within the time (--timeout)\n");
		return EXIT_TIMEOUT;
	}
	if (r == -ENODATA || r == -EPIPE || r == -ECONNRESET) {
		(void)fprintf(stderr, "ftctl: ftd ended before it answered\n");
		return EXIT_NOT_RUNNING;
	}
	(void)fprintf(stderr, "ftctl: %s: %s\n", j->socket,
		      r == -EMSGSIZE ? "the request is too large" : err_text(r));
	return EXIT_REFUSED;
}

/* The exit status for a refusal by the daemon. */
static int
refusal_status(const json_t *answer, const char *code)
{
	static const struct {
		const char *code;
		int status;
	} rows[] = {
		{ "permission", EXIT_NOT_PERMITTED },
		{ "not_found", EXIT_NOTHING },
		{ "timeout", EXIT_TIMEOUT },
		{ "bad_request", EXIT_USAGE },
	};

	/* a configuration with problems is no wrong command */
	if (json_array_size(json_object_get(answer, "problems")) > 0)
		return EXIT_REFUSED;
	for (size_t i = 0; code != NULL && i < ARRAY_SIZE(rows); i++)
		if (strcmp(rows[i].code, code) == 0)
			return rows[i].status;
	return EXIT_REFUSED;
}

/* ---- one answer ---- */

static struct report
report_to(const struct job *j, FILE *to, bool terminal)
{
	const char *no_color = getenv("NO_COLOR");
	struct winsize size = { 0 };
	bool plain =
	    j->options->value[OPTION_NO_COLOR] != NULL || (no_color != NULL && no_color[0] != '\0');

	if (terminal)
		(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	return (struct report){ .to = to,
				.colour = terminal && !plain,
				.verdict = j->options->value[OPTION_CHECK] != NULL,
				.width = size.ws_col };
}

/* Raw bytes of names are for programs; a terminal gets nothing that it could take for a command. */
static int
print_json(json_t *answer, bool terminal)
{
	auto_json json_t *whole = json_pack("{s:i}", "v", 1);
	size_t flags = JSON_COMPACT | (terminal ? JSON_ENSURE_ASCII : 0);

	if (whole == NULL || json_object_update(whole, answer) < 0 ||
	    json_dumpf(whole, stdout, flags) < 0)
		return EXIT_REFUSED;
	(void)putchar('\n');
	return EXIT_DONE;
}

static void
print_refusal(const struct job *j, const json_t *answer)
{
	char message[REPORT_TEXT_MAX], file[REPORT_TEXT_MAX];
	struct report r = report_to(j, stderr, false);

	if (json_array_size(json_object_get(answer, "problems")) > 0) {
		report_problems(&r, report_text(answer, "file", file), answer);
		(void)fprintf(stderr, "ftctl: %s refused, nothing was changed\n",
			      j->command->words);
	} else {
		(void)fprintf(stderr, "ftctl: %s\n", report_text(answer, "message", message));
	}
}

static void
print_text(const struct job *j, json_t *answer, bool terminal)
{
	struct report r = report_to(j, stdout, terminal);

	j->command->verb->show(&r, answer);
}

/* Prints the answer and tells its exit status. */
static int
print_answer(const struct job *j, json_t *answer)
{
	const struct verb *v = j->command->verb;
	const char *code = json_string_value(json_object_get(answer, "code"));
	bool refused = json_object_get(answer, "code") != NULL;
	bool terminal = isatty(STDOUT_FILENO) == 1;
	int status = refused             ? refusal_status(answer, code)
		     : v->result != NULL ? v->result(j->options, answer)
					 : EXIT_DONE;

	if (j->options->value[OPTION_JSON] != NULL) {
		int r = print_json(answer, terminal);

		status = r != EXIT_DONE ? r : status;
	} else if (refused) {
		print_refusal(j, answer);
	} else {
		print_text(j, answer, terminal);
	}
	if (fflush(stdout) != 0) {
		(void)fprintf(stderr, "ftctl: cannot write: %s\n", err_text(-errno));
		return EXIT_REFUSED;
	}
	return status;
}

/* Asks once and prints. Negative: the connection is of no more use. */
static int
ask(struct job *j)
{
	auto_json json_t *answer = NULL;
	int r = call_ask(&j->wire, j->request, j->timeout_usec, &answer);

	if (j->command->verb->ends_daemon && (r == -ENODATA || r == -EPIPE || r == -ECONNRESET)) {
		answer = json_pack("{s:s, s:s}", "status", "ok", "state", "ended");
		r = answer == NULL ? -ENOMEM : 0;
	}
	return r < 0 ? r : print_answer(j, answer);
}

/* ---- without the daemon ---- */

static int
run_local(const struct job *j)
{
	auto_json json_t *answer = json_pack("{s:s}", "status", "ok");
	int r;

	if (answer == NULL)
		return EXIT_REFUSED;
	r = j->command->verb->local(j->options, j->request, answer);
	if (r < 0 && local_answer_refuse(answer, r) < 0)
		return EXIT_REFUSED;
	return print_answer(j, answer);
}

/* ---- again and again ---- */

static void
watch_head(const struct job *j, uint64_t every_usec)
{
	char now[CLOCK_TEXT_MAX];

	if (isatty(STDOUT_FILENO) != 1 || j->options->value[OPTION_JSON] != NULL)
		return;
	(void)printf("\033[H\033[2Jftctl %s   %s   every %llu s\n\n", j->command->words,
		     clock_format_rfc3339(clock_real_ns(), now),
		     (unsigned long long)(every_usec / USEC_PER_SEC));
}

static int
watch(struct job *j)
{
	struct timespec pause;
	uint64_t every;
	int r;

	if (options_seconds(j->options, OPTION_WATCH, WATCH_SEC * USEC_PER_SEC, &every) < 0)
		return EXIT_USAGE;
	if (every < WATCH_MIN_USEC) {
		(void)fputs("ftctl: --watch is too short\n", stderr);
		return EXIT_USAGE;
	}
	pause.tv_sec = (time_t)(every / USEC_PER_SEC);
	pause.tv_nsec = (long)(every % USEC_PER_SEC * NSEC_PER_USEC);
	for (;;) {
		watch_head(j, every);
		r = ask(j);
		if (r != EXIT_DONE && r != EXIT_DEGRADED)
			return r;
		(void)nanosleep(&pause, NULL);
	}
}

static int
run_connected(struct job *j)
{
	int r = call_open(&j->wire, j->socket, j->timeout_usec);

	if (r >= 0) {
		r = j->options->value[OPTION_WATCH] != NULL ? watch(j) : ask(j);
		wire_done(&j->wire);
	}
	return r < 0 ? fail_call(j, r) : r;
}

const char *
run_socket(const struct options *o)
{
	const char *socket = o->value[OPTION_SOCKET];

	if (socket == NULL)
		socket = getenv("FTCTL_SOCKET");
	return socket != NULL && socket[0] != '\0' ? socket : SOCKET_DEFAULT;
}

int
run(const struct options *o, const struct command *c, char *const *arguments, size_t n)
{
	auto_json json_t *request = json_pack("{s:s}", "opt", c->name);
	struct job j = { .options = o, .command = c, .request = request, .socket = run_socket(o) };
	int r;

	if (request == NULL)
		return EXIT_REFUSED;
	if (options_seconds(o, OPTION_TIMEOUT, c->verb->timeout_sec * USEC_PER_SEC,
			    &j.timeout_usec) < 0)
		return EXIT_USAGE;
	r = add_options(&j);
	if (r == EXIT_DONE)
		r = add_arguments(&j, arguments, n);
	if (r != EXIT_DONE)
		return r;
	return c->verb->local != NULL ? run_local(&j) : run_connected(&j);
}
