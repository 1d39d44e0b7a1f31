/* ftd(8): the command line. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/common/certificate.h"
#include "daemon/common/role.h"
#include "daemon/config/config.h"
#include "daemon/supervisor/carried.h"
#include "daemon/supervisor/reexec.h"
#include "daemon/supervisor/supervisor.h"
#include "lib/num.h"
#include "lib/own.h"

enum { EXIT_USAGE = 2 };

static const char usage[] =
    "usage: ftd [--config FILE] [--daemon]\n"
    "       ftd --check [FILE]\n"
    "       ftd --fingerprint [--config FILE]\n"
    "\n"
    "  --config FILE   read FILE instead of " SYSCONFDIR "/ftd.conf\n"
    "  --check [FILE]  say what is wrong with the configuration, exit 0 or 2\n"
    "  --fingerprint   print what clients can compare the certificate with\n"
    "  --daemon        detach once the daemon is ready\n"
    "  --version       print the version\n"
    "  --help          print this\n";

enum option_id {
	OPTION_CONFIG = 256,
	OPTION_CHECK,
	OPTION_DAEMON,
	OPTION_FINGERPRINT,
	OPTION_VERSION,
	OPTION_HELP,
	OPTION_ROLE,
	OPTION_STATE
};

static const struct option options[] = {
	{ "config", required_argument, NULL, OPTION_CONFIG },
	{ "check", no_argument, NULL, OPTION_CHECK },
	{ "daemon", no_argument, NULL, OPTION_DAEMON },
	{ "fingerprint", no_argument, NULL, OPTION_FINGERPRINT },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "role", required_argument, NULL, OPTION_ROLE }, /* how the supervisor starts its roles */
	{ "state", required_argument, NULL,
	  OPTION_STATE }, /* how one binary hands over to another */
	{ NULL, 0, NULL, 0 },
};

struct command_line {
	const char *file;
	const char *role;
	const char *state;
	bool check, fingerprint, daemon;
};

/* A role holds nothing that an orderly exit() would give back, and behind its sandbox much of one
 * would be refused. */
static int
run_role(const char *name)
{
	static const struct {
		const char *name;
		int (*run)(void);
	} roles[] = {
		{ "gatehouse", gatehouse_main }, { "sessionhouse", sessionhouse_main },
		{ "keeper", keeper_main },       { "beacon", beacon_main },
		{ "verifier", verifier_main },   { "surveyor", surveyor_main },
	};

	for (size_t i = 0; i < ARRAY_SIZE(roles); i++)
		if (strcmp(name, roles[i].name) == 0)
			_exit(roles[i].run());
	(void)fprintf(stderr, "ftd: --role is for ftd's own use\n");
	return EXIT_USAGE;
}

static int
load(const char *file, struct config **ret, bool machine)
{
	struct config_problems problems = { .n = 0 };
	struct config *c = NULL;
	int r;

	r = config_load(file, &c, &problems);
	for (unsigned i = 0; r == 0 && machine && i < c->n_shares; i++)
		(void)config_check_root(c, i, &problems);
	if (r == 0 && machine)
		r = config_check_machine(c, NULL, 0, &problems);
	if (r == 0 && machine)
		config_check_unit(c, &problems);
	config_problems_print(&problems, stderr);
	config_problems_done(&problems);
	if (r < 0) {
		free(c);
		return EXIT_USAGE;
	}
	*ret = c;
	return 0;
}

static int
check(const char *file)
{
	struct config *c = NULL;
	int r = load(file, &c, true);

	free(c);
	if (r == 0)
		(void)printf("%s: ok\n", file);
	return r;
}

/* Holds no directory, and no pipe of whoever waits for the end of our output; messages go on. */
static int
leave_terminal(void)
{
	auto_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		return -errno;
	return chdir("/") < 0 ? -errno : 0;
}

/* Of the certificate that the daemon of this configuration shows; the key is not needed. */
static int
fingerprint(const char *file)
{
	char text[CERTIFICATE_FINGERPRINT_TEXT];
	struct certificate_files files;
	struct certificate_info info;
	struct config *c = NULL;
	int r = load(file, &c, false);

	if (r != 0)
		return r;
	certificate_files(c, &files);
	free(c);
	r = certificate_read(files.certificate, &info);
	if (r < 0) {
		(void)fprintf(stderr, "ftd: %s: %s\n", files.certificate, strerror(-r));
		return EXIT_FAILURE;
	}
	(void)printf("%s\n", certificate_fingerprint_text(info.fingerprint, text));
	return 0;
}

/* The caller gets its prompt back when the daemon serves, or its error. Returns in the child only.
 */
static int
detach(void)
{
	int pipe_fds[2], r;
	char byte;
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid > 0) {
		(void)close(pipe_fds[1]);
		_exit(read(pipe_fds[0], &byte, 1) == 1 ? 0 : 1);
	}
	(void)close(pipe_fds[0]);
	(void)setsid();
	r = leave_terminal();
	return r < 0 ? r : pipe_fds[1];
}

/* What the binary before this one hands on, or would: --state. */
static int
take_state(const char *number, struct carried **ret)
{
	uint64_t fd;

	if (number == NULL)
		return 0;
	if (num_parse_u64(number, CARRIED_FD_MAX, &fd) < 0) {
		(void)fprintf(stderr, "ftd: --state is for ftd's own use\n");
		return EXIT_USAGE;
	}
	return reexec_take((int)fd, ret);
}

/* Could this binary go on from there? */
static int
check_state(const struct command_line *cl)
{
	struct carried *carried = NULL;
	struct config *c = NULL;
	int r = load(cl->file, &c, false);

	if (r == 0)
		r = take_state(cl->state, &carried);
	carried_free(carried);
	free(c);
	return r;
}

static int
run(const struct command_line *cl)
{
	struct carried *carried = NULL;
	struct config *c;
	int ready = -1;
	int r;

	r = load(cl->file, &c, false);
	if (r != 0)
		return r;
	r = take_state(cl->state, &carried);
	if (r != 0) {
		free(c);
		return r;
	}
	if (cl->daemon) {
		ready = detach();
		if (ready < 0) {
			(void)fprintf(stderr, "ftd: cannot detach: %s\n", strerror(-ready));
			free(c);
			return EXIT_FAILURE;
		}
	}
	return supervisor_run(c, ready, carried);
}

/* 0: go on; else *ret is the exit status. */
static int
parse(int argc, char **argv, struct command_line *cl, int *ret)
{
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case OPTION_CONFIG:
			cl->file = optarg;
			break;
		case OPTION_CHECK:
			cl->check = true;
			break;
		case OPTION_FINGERPRINT:
			cl->fingerprint = true;
			break;
		case OPTION_DAEMON:
			cl->daemon = true;
			break;
		case OPTION_ROLE:
			cl->role = optarg;
			break;
		case OPTION_STATE:
			cl->state = optarg;
			break;
		case OPTION_VERSION:
			(void)printf("ftd %s\n", PACKAGE_VERSION);
			*ret = 0;
			return -1;
		case OPTION_HELP:
			(void)fputs(usage, stdout);
			*ret = 0;
			return -1;
		default:
			(void)fputs(usage, stderr);
			*ret = EXIT_USAGE;
			return -1;
		}
	}
	if (cl->check && optind < argc)
		cl->file = argv[optind++];
	if (optind == argc)
		return 0;
	(void)fprintf(stderr, "ftd: what is \"%s\" for?\n%s", argv[optind], usage);
	*ret = EXIT_USAGE;
	return -1;
}

int
main(int argc, char **argv)
{
	struct command_line cl = { .file = SYSCONFDIR "/ftd.conf" };
	int status;

	if (parse(argc, argv, &cl, &status) < 0)
		return status;
	if (cl.role != NULL)
		return run_role(cl.role);
	if (cl.fingerprint)
		return fingerprint(cl.file);
	if (cl.check && cl.state != NULL)
		return check_state(&cl);
	return cl.check ? check(cl.file) : run(&cl);
}
