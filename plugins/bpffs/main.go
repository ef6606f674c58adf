// Command bpffs is a chained CNI plugin that prepares the BPF file system for
// every container: it mounts bpffs on the node if it is missing, gives the
// container a node-unique endpoint ID, and hands the paths of the container's
// own maps to the plugins after it. Its configuration is described in
// docs/configuration.md.
package main

import (
	"fmt"
	"os"
	"strings"
)

// buildVersion is set by the linker; see the Makefile.
var buildVersion = "development"

func main() {
	command := os.Getenv("CNI_COMMAND")
	if command == "" {
		fmt.Fprintf(os.Stderr, "bpffs %s, a chained CNI plugin, called by container runtimes\nCNI protocol versions supported: %s\n",
			buildVersion, strings.Join(cniVersions(), ", "))
		return
	}
	stdout, err := duplicate(os.Stdout)
	if err == nil {
		err = plugin{stdin: os.Stdin, stdout: stdout, stderr: warnings{os.Stderr}}.run(command, os.Getenv)
	}
	if err != nil {
		os.Exit(1)
	}
}
