package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cni-bpffs/cni-bpffs/test/internal/node"
)

// network is the name in the configuration.
const network = "bpffs-demo"

// life plays the life of a pod.
func life(out io.Writer) error {
	// By this file libcni 1.3 adds a plugin to the end of the chain.
	if err := node.Configure(network+"/downstream.conf", []byte(`{"type": "downstream"}`+"\n")); err != nil {
		return err
	}
	s := &shell{out: out, env: node.Environ()}
	s.say("The node has no bpffs. The configuration is conf/, unchanged:")
	s.run("grep /sys/fs/bpf /proc/mounts || echo nothing is mounted at /sys/fs/bpf", "^nothing is mounted")
	s.run("cat $NETCONFPATH/10-bpffs.conflist", `"type": "bpffs"`)
	s.say("libcni 1.3 appends the plugins in the directory with the network's name to the chain:")
	s.run("cat $NETCONFPATH/"+network+"/downstream.conf", `^\{"type": "downstream"\}$`)

	pod := s.pod("pod1").ContainerID
	id := add(s)
	fill(s, id)
	records(s, pod, id)
	s.say("CHECK compares the records with the result of ADD, and finds no difference:")
	s.run("cnitool check "+network+" /run/netns/pod1 && echo as it should be", "^as it should be$")
	collect(s, pod, id)
	remove(s, pod)
	if s.err == nil {
		fmt.Fprintf(s.out, "\n%d commands ran, and each did what the text above it says. "+
			"The node ends with this process; the real one was not touched.\n", s.runs)
	}
	return s.err
}

// add shows ADD, and returns the endpoint ID.
func add(s *shell) (id string) {
	s.say("ADD mounts bpffs, gives the pod an endpoint ID and appends the paths of its maps to the result,",
		"where the last plugin of the chain, \"downstream\", reads them (its lines come first):")
	s.run("cnitool add "+network+" /run/netns/pod1",
		`downstream: map policy_ of endpoint \d+: /sys/fs/bpf/tc/globals/policy_(\d{5})\n`,
		`downstream: map stats_ of endpoint \d+: /sys/fs/bpf/tc/globals/stats_\d{5}\n`,
		`"name": "/sys/fs/bpf/tc/globals/policy_\d{5}"`,
		`"name": "/sys/fs/bpf/tc/globals/stats_\d{5}"`)
	if s.err == nil {
		id = s.found[0]
	}
	s.say("Now the node has a bpffs, for root only:")
	s.run("grep /sys/fs/bpf /proc/mounts", `^\S+ /sys/fs/bpf bpf \S*nosuid,nodev,noexec\S*mode=700 0 0$`)
	return id
}

// fill does what an agent would: it creates the map that is only named.
func fill(s *shell, id string) {
	s.say("stats_ has a type, so the plugin made its map. policy_ has only a name: a datapath plugin",
		"pins its own map at that path. Here the demo does it, in Go:")
	s.run("bpffsctl list", `(?m)^`+id+`  `+network+` .* percpu_array:2,reserved:1 .* ok$`)
	s.do(func() error { return node.Pin("/sys/fs/bpf/tc/globals/policy_" + id) })
	s.run("ls /sys/fs/bpf/tc/globals", `^policy_`+id+`\nstats_`+id+`$`)
	s.run("bpffsctl list", `(?m)^`+id+`  `+network+` .* array:1,percpu_array:2 .* ok$`)
}

// records shows where the plugin keeps what it knows.
func records(s *shell, pod, id string) {
	s.say("The plugin's records are directories and links in the same bpffs. All of them:")
	s.run("find /sys/fs/bpf/cni -type l -printf '%p -> %l\\n'",
		"(?m)^/sys/fs/bpf/cni/endpoints/"+id+"/owner -> "+network+"/"+pod+"/eth0$",
		"(?m)^/sys/fs/bpf/cni/endpoints/"+id+"/pins0 -> tc/globals//policy_/stats_$",
		"(?m)^/sys/fs/bpf/cni/attachments/"+network+"/"+pod+"/eth0 -> "+id+"$")
	s.say("Who has the endpoint ID " + id + "?")
	s.run("readlink /sys/fs/bpf/cni/endpoints/"+id+"/owner", "^"+network+"/"+pod+"/eth0$")
	s.say("Which endpoint ID does this container have?")
	s.run("readlink /sys/fs/bpf/cni/attachments/"+network+"/"+pod+"/eth0", "^"+id+"$")
}

// collect shows GC with a pod whose DEL never came.
func collect(s *shell, pod, id string) {
	dead := s.pod("pod2")
	s.say("A second pod gets its own ID. Then it ends, and the runtime loses its DEL: the ID stays in use:")
	s.run("cnitool add "+network+" /run/netns/pod2 2>&1 >/dev/null | grep stats_", `of endpoint (\d+)`)
	s.do(func() error {
		cached := fmt.Sprintf("/var/lib/cni/results/%s-%s-eth0", network, dead.ContainerID)
		return errors.Join(dead.Crash(), os.Remove(cached)) // libcni remembers it too
	})
	s.run("ls /sys/fs/bpf/cni/endpoints | wc -l", "^2$")

	const gc = `echo '{"cniVersion": "1.1.0", "name": "` + network + `", "type": "bpffs"%s}' | CNI_COMMAND=GC bpffs`
	s.say("GC removes such endpoints. cnitool sends no list of valid attachments, so the demo calls the plugin itself.",
		"Without a list the plugin removes nothing, and says so:")
	s.run(fmt.Sprintf(gc, ""), "^bpffs: warning: .* nothing is removed")
	s.run("ls /sys/fs/bpf/cni/endpoints | wc -l", "^2$")
	s.say("With a list that names only the first pod, GC removes the endpoint of the second one:")
	valid := `, "cni.dev/valid-attachments": [{"containerID": "` + pod + `", "ifname": "eth0"}]`
	s.run(fmt.Sprintf(gc, valid))
	s.run("ls /sys/fs/bpf/cni/endpoints", "^"+id+"$")
	s.run("ls /sys/fs/bpf/tc/globals", `^policy_`+id+`\nstats_`+id+`$`)
}

// remove shows DEL.
func remove(s *shell, pod string) {
	s.say("DEL removes the first pod's maps, then its records. A second DEL has nothing to do, and succeeds:")
	s.run("cnitool del " + network + " /run/netns/pod1")
	s.run("cnitool del " + network + " /run/netns/pod1")
	s.say("Nothing is left of the pods, neither maps nor records:")
	s.run("ls -A /sys/fs/bpf/tc/globals")
	s.run("ls -A /sys/fs/bpf/cni/endpoints /sys/fs/bpf/cni/attachments", `^\S+/attachments:\n\n\S+/endpoints:$`)
	s.run("find /sys/fs/bpf -path '*" + pod + "*'")
}
