/* Other processes: ending, stopping, reading and changing them. And what only the kernel's owner
 * may do, or what makes new processes. */
#include "tests/hostile/attack.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/prctl.h>

#include "lib/own.h"

static const struct attempt processes[] = {
	{ "kill", SYS_kill, { AIM_PID, SIGKILL } },
	{ "kill to stop", SYS_kill, { AIM_PID, SIGSTOP } },
	{ "tkill", SYS_tkill, { AIM_PID, SIGKILL } },
	{ "tgkill", SYS_tgkill, { AIM_PID, AIM_PID, SIGKILL } },
	{ "rt_sigqueueinfo", SYS_rt_sigqueueinfo, { AIM_PID, SIGTERM, AIM_SCRATCH } },
	{ "rt_tgsigqueueinfo", SYS_rt_tgsigqueueinfo, { AIM_PID, AIM_PID, SIGTERM, AIM_SCRATCH } },
	{ "pidfd_open", SYS_pidfd_open, { AIM_PID, 0 } },
	{ "pidfd_send_signal", SYS_pidfd_send_signal, { AIM_CONNECTION, SIGKILL, 0, 0 } },
	{ "pidfd_getfd", SYS_pidfd_getfd, { AIM_CONNECTION, 0, 0 } },
	{ "fcntl to direct SIGIO", SYS_fcntl, { AIM_CONNECTION, F_SETOWN, AIM_PID } },
	{ "process_madvise", SYS_process_madvise, { AIM_CONNECTION, AIM_SCRATCH, 0, 4, 0 } },
	{ "kcmp", SYS_kcmp, { AIM_PID, AIM_PID, 0, 0, 0 } },
	{ "get_robust_list", SYS_get_robust_list, { AIM_PID, AIM_SCRATCH, AIM_SCRATCH } },
	{ "migrate_pages", SYS_migrate_pages, { AIM_PID, 0, 0, 0 } },
	{ "move_pages", SYS_move_pages, { AIM_PID, 0, 0, 0, 0, 0 } },
	{ "sched_setscheduler", SYS_sched_setscheduler, { AIM_PID, SCHED_IDLE, AIM_SCRATCH } },
	{ "sched_setparam", SYS_sched_setparam, { AIM_PID, AIM_SCRATCH } },
	{ "sched_setattr", SYS_sched_setattr, { AIM_PID, AIM_SCRATCH, 0 } },
	{ "sched_setaffinity", SYS_sched_setaffinity, { AIM_PID, 8, AIM_SCRATCH } },
	{ "setpriority", SYS_setpriority, { PRIO_PROCESS, AIM_PID, 19 } },
	{ "ioprio_set", SYS_ioprio_set, { 1, AIM_PID, 0x6000 } },
	{ "prlimit64", SYS_prlimit64, { AIM_PID, RLIMIT_NOFILE, AIM_SCRATCH, 0 } },
	{ "setpgid", SYS_setpgid, { AIM_PID, 0 } },
	{ "perf_event_open", SYS_perf_event_open, { AIM_SCRATCH, AIM_PID, -1, -1, 0 } },
	{ "ptrace to attach", SYS_ptrace, { PTRACE_ATTACH, AIM_PID, 0, 0 }, .fatal = true },
	{ "ptrace to seize", SYS_ptrace, { PTRACE_SEIZE, AIM_PID, 0, 0 }, .fatal = true },
	{ "process_vm_readv",
	  SYS_process_vm_readv,
	  { AIM_PID, AIM_SCRATCH, 1, AIM_SCRATCH, 1, 0 },
	  .fatal = true },
	{ "process_vm_writev",
	  SYS_process_vm_writev,
	  { AIM_PID, AIM_SCRATCH, 1, AIM_SCRATCH, 1, 0 },
	  .fatal = true },
};
const struct attempts attack_processes = { "processes", processes, ARRAY_SIZE(processes) };

/* What pthread_create() asks for: a session may have threads, and nothing besides. */
#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
enum { X32 = 0x40000000, CAP_SYSLOG_ACTION = 2, UFFD_USER_MODE_ONLY_FLAG = 1 };

static const struct attempt kernel[] = {
	{ "fork", SYS_clone, { SIGCHLD } },
	{ "clone as a house does", SYS_clone, { CLONE_PARENT | SIGCHLD } },
	{ "clone with a network", SYS_clone, { CLONE_NEWNET | SIGCHLD } },
	{ "clone with a user namespace", SYS_clone, { CLONE_NEWUSER | SIGCHLD } },
	{ "a thread with a network", SYS_clone, { THREAD | CLONE_NEWNET } },
	{ "a thread with names of its own", SYS_clone, { (THREAD & ~CLONE_FS) | CLONE_NEWNS } },
	{ "a thread that is traced", SYS_clone, { THREAD | CLONE_PTRACE } },
	{ "unshare of users", SYS_unshare, { CLONE_NEWUSER } },
	{ "unshare of mounts", SYS_unshare, { CLONE_NEWNS } },
	{ "unshare of the network", SYS_unshare, { CLONE_NEWNET } },
	{ "unshare of descriptors", SYS_unshare, { CLONE_FILES } },
	{ "setns", SYS_setns, { AIM_CONNECTION, 0 } },
	{ "pivot_root", SYS_pivot_root, { AIM_PATH, AIM_PATH } },
	{ "fsopen", SYS_fsopen, { AIM_SCRATCH, 0 } },
	{ "move_mount", SYS_move_mount, { AIM_INSIDE, AIM_SCRATCH, AIM_INSIDE, AIM_SCRATCH, 0 } },
	{ "io_uring_setup", SYS_io_uring_setup, { 1, AIM_SCRATCH } },
	{ "io_uring_enter", SYS_io_uring_enter, { AIM_CONNECTION, 1, 0, 0, 0, 0 } },
	{ "userfaultfd", SYS_userfaultfd, { UFFD_USER_MODE_ONLY_FLAG } },
	{ "add_key", SYS_add_key, { AIM_SCRATCH, AIM_SCRATCH, AIM_SCRATCH, 1, -3 } },
	{ "request_key", SYS_request_key, { AIM_SCRATCH, AIM_SCRATCH, 0, -3 } },
	{ "seccomp", SYS_seccomp, { 0, 0, 0 } },
	{ "prctl to be dumped", SYS_prctl, { PR_SET_DUMPABLE, 1, 0, 0, 0 } },
	{ "prctl to be traced", SYS_prctl, { PR_SET_PTRACER, AIM_PID, 0, 0, 0 } },
	{ "prctl of memory", SYS_prctl, { PR_SET_MM, PR_SET_MM_ARG_START, 0, 0, 0 } },
	{ "prctl for capabilities", SYS_prctl, { PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0 } },
	{ "prctl for new names", SYS_prctl, { PR_SET_NAME, AIM_SCRATCH, 0, 0, 0 } },
	{ "personality", SYS_personality, { 0 } },
	{ "setuid", SYS_setuid, { 0 } },
	{ "setresuid", SYS_setresuid, { 0, 0, 0 } },
	{ "setresgid", SYS_setresgid, { 0, 0, 0 } },
	{ "setgroups", SYS_setgroups, { 0, 0 } },
	{ "setfsuid", SYS_setfsuid, { 0 } },
	{ "capset", SYS_capset, { AIM_SCRATCH, AIM_SCRATCH } },
	{ "setsid", SYS_setsid, { 0 } },
	{ "umask", SYS_umask, { 0 } },
	{ "memfd_create", SYS_memfd_create, { AIM_SCRATCH, 0 } },
	{ "memfd_secret", SYS_memfd_secret, { 0 } },
	{ "shmget", SYS_shmget, { IPC_PRIVATE, 4096, 0600 } },
	{ "semget", SYS_semget, { IPC_PRIVATE, 1, 0600 } },
	{ "msgget", SYS_msgget, { IPC_PRIVATE, 0600 } },
	{ "mq_open", SYS_mq_open, { AIM_SCRATCH, O_RDWR | O_CREAT, 0600, 0 } },
	{ "timer_create", SYS_timer_create, { 0, 0, AIM_SCRATCH } },
	{ "setitimer", SYS_setitimer, { 0, AIM_SCRATCH, 0 } },
	{ "syslog", SYS_syslog, { CAP_SYSLOG_ACTION, AIM_SCRATCH, 8 } },
	{ "sethostname", SYS_sethostname, { AIM_SCRATCH, 1 } },
	{ "init_module", SYS_init_module, { AIM_SCRATCH, 1, AIM_SCRATCH } },
	{ "kexec_load", SYS_kexec_load, { 0, 0, 0, 0 } },
	{ "quotactl", SYS_quotactl, { 0, AIM_SCRATCH, 0, AIM_SCRATCH } },
	{ "tee", SYS_tee, { AIM_CONNECTION, AIM_CONNECTION, 1, 0 } },
	{ "vmsplice", SYS_vmsplice, { AIM_CONNECTION, AIM_SCRATCH, 1, 0 } },
	{ "bpf", SYS_bpf, { 0, AIM_SCRATCH, 16 }, .fatal = true },
	{ "keyctl", SYS_keyctl, { 0, -3, 0, 0, 0 }, .fatal = true },
#ifdef __x86_64__
	{ "vfork", SYS_vfork, { 0 } },
	{ "modify_ldt", SYS_modify_ldt, { 0, AIM_SCRATCH, 16 } },
	{ "arch_prctl", SYS_arch_prctl, { 0x1002, AIM_SCRATCH } },
	{ "iopl", SYS_iopl, { 3 } },
	{ "ioperm", SYS_ioperm, { 0, 1, 1 } },
	{ "another numbering of calls (x32)", X32 + SYS_getpid, { 0 }, .fatal = true },
#endif
};
const struct attempts attack_kernel = { "kernel", kernel, ARRAY_SIZE(kernel) };
