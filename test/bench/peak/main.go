// Command peak runs its arguments as a command and prints the command's peak
// resident memory in KiB to standard error. The kernel counts the memory of the
// process that starts another one into the peak of that one, so this has to be
// smaller than all that is measured with it.
package main

import (
	"os"
	"syscall"
)

func main() {
	pid, err := syscall.ForkExec(os.Args[1], os.Args[1:], &syscall.ProcAttr{
		Env:   syscall.Environ(),
		Files: []uintptr{0, 1, 2},
	})
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
	var status syscall.WaitStatus
	var usage syscall.Rusage
	if _, err := syscall.Wait4(pid, &status, 0, &usage); err != nil {
		println(err.Error())
		os.Exit(1)
	}
	println(usage.Maxrss)
	os.Exit(status.ExitStatus())
}
