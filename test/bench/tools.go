package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// A tool is a command that looks at all endpoints.
type tool struct {
	name string
	may  int  // the exit code with which it says that something is to be said
	once bool // it changes the node
	call func(n *node, endpoints int) command
}

// A cost is what a command took, its memory at its peak.
type cost struct {
	took time.Duration
	kib  int
}

func tools() []tool {
	return []tool{
		{"GC that removes nothing", 0, false, func(n *node, endpoints int) command { return n.gc(endpoints) }},
		{"`bpffsctl list`", 1, false, ctl("list")},
		{"`bpffsctl list -o json`", 1, false, ctl("list", "-o", "json")},
		{"`bpffsctl doctor`", 1, false, doctor},
		{"`bpffsctl metrics`", 0, false, ctl("metrics")},
		{"`bpffsctl gc`, which says what is lost: all", 1, false, lost()},
		{"`bpffsctl gc --yes`, which removes all", 0, true, lost("--yes")},
	}
}

// confDir is where the node has its network.
const confDir = "net.d"

// configure gives the node a network that calls the plugin.
func (n *node) configure() error {
	if err := os.Mkdir(n.path(confDir), 0o755); err != nil {
		return err
	}
	list := fmt.Sprintf(`{"cniVersion":"1.1.0","name":%q,"plugins":[{"type":"tuning"},{"type":"bpffs","maps":[%s]}]}`, netName, created1)
	return os.WriteFile(n.path(confDir+"/10-bench.conflist"), []byte(list), 0o600)
}

// ctl is a command of bpffsctl. It looks at the only bpffs that it has.
func ctl(args ...string) func(n *node, endpoints int) command {
	return func(n *node, _ int) command {
		args := slices.Concat([]string{n.path("bin/bpffsctl")}, args, []string{"--conf-dir", n.path(confDir)})
		return command{argv: args, env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}}
	}
}

// doctor is bpffsctl doctor, for whom the node is whole.
func doctor(n *node, endpoints int) command {
	return ctl("doctor", "--bin-dir", n.path("bin"))(n, endpoints)
}

// lost is bpffsctl gc where no container is alive.
func lost(more ...string) func(n *node, endpoints int) command {
	return ctl(append([]string{"gc", "--live-from", "/dev/null", "--network", netName, "--allow-empty", "--force", "--older-than", "0s"}, more...)...)
}

// gc is the verb GC, as a runtime sends it while all containers are alive.
func (n *node) gc(endpoints int) command {
	valid := make([]map[string]string, endpoints)
	for i := range valid {
		valid[i] = map[string]string{"containerID": containerID("fill", i), "ifname": "eth0"}
	}
	list, err := json.Marshal(valid)
	if err != nil {
		panic(err) // strings can be written
	}
	return n.call("bpffs", "GC", "", config("bpffs", `,"cni.dev/valid-attachments":`+string(list), "null"))
}

// measure measures the tool in the place: the median of some runs.
func (t tool) measure(l *lab, where place, endpoints int) (median cost, err error) {
	all := make([]cost, runsOfTools)
	if t.once {
		all = all[:1]
	}
	call := t.call(l.node, endpoints)
	for i := range all {
		err := where.do(func() (err error) { all[i], err = l.cost(call, t.may); return err })
		if err != nil {
			return cost{}, fmt.Errorf("%s at %d endpoints: %w", t.name, endpoints, err)
		}
	}
	slices.SortFunc(all, func(a, b cost) int { return int(a.took - b.took) })
	return all[len(all)/2], nil
}

// cost runs a command of any output, which may end with the exit code.
func (n *node) cost(c command, may int) (cost, error) {
	cmd := exec.Command(n.path("bin/peak"), c.argv...)
	var stderr bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stderr = c.env, bytes.NewReader(c.stdin), &stderr
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	if status := cmd.ProcessState.ExitCode(); status != 0 && status != may {
		return cost{}, fmt.Errorf("%v: %w: %.2000s", c.argv[:2], err, stderr.Bytes())
	}
	lines := strings.Fields(stderr.String())
	var kib int
	if _, err := fmt.Sscan(lines[len(lines)-1], &kib); err != nil {
		return cost{}, fmt.Errorf("output of peak: %.2000q: %w", stderr.String(), err)
	}
	return cost{took, kib}, nil
}
