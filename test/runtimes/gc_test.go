package runtimes

import (
	"strings"
	"testing"
)

// bpffsctl finds out from the runtime which pods there are, and removes what those
// left that are gone.

func TestGC16(t *testing.T) {
	if onNode(t) {
		collected(t, newContainerd(t, "1.6"))
	}
}

func TestGC24(t *testing.T) {
	if onNode(t) {
		collected(t, newContainerd(t, "2.4"))
	}
}

func collected(t *testing.T, rt *containerd) {
	t.Helper()
	works(t, rt.subject(), "bpffsctl gc removes what a lost pod left, and keeps pods that run or are not removed yet")
	withOurs := strings.Replace(bridgeOnly, "}]}}]}", `}]}}, {"type": "bpffs", "maps": [
		{"name": "m_", "type": "hash", "keySize": 4, "valueSize": 8, "maxEntries": 10}]}]}`, 1)
	rt.network(t, withOurs)
	runs, stopped, lost := rt.newPod(t, "runs"), rt.newPod(t, "stopped"), rt.newPod(t, "lost")
	for _, p := range []*pod{runs, stopped, lost} {
		must(t, p.run)
	}
	rt.network(t, bridgeOnly) // so that no DEL comes
	must(t, stopped.stop)
	lost.end(t)
	wantEndpoints(t, runs, stopped, lost)

	gc := []string{"gc", "--cri-socket", "unix://" + socket}
	wantWord(t, ctl(t, 0, gc...), "still be starting")
	gc = append(gc, "--older-than", "0s")
	out := ctl(t, 1, gc...)
	wantWord(t, out, "remove: 1\n")
	wantWord(t, out, lost.id[:12])
	wantEndpoints(t, runs, stopped, lost)
	wantWord(t, ctl(t, 0, append(gc, "--yes", "--force")...), "removed: 1\n")
	wantEndpoints(t, runs, stopped)
	out = ctl(t, 0, "show", "default/runs")
	wantWord(t, out, "State:      ok")
	tryCommands(t, out, 2)
	wantWord(t, ctl(t, 1, "show", stopped.id), "netns-gone")

	rt.network(t, conflist("1.0.0", ours))
	shown(t, rt)
	rt.network(t, withOurs)
	must(t, runs.stop)
	for _, p := range []*pod{stopped, runs} {
		must(t, p.remove)
	}
	rt.stop(t)
	wantWord(t, ctl(t, 2, gc...), "start the runtime")
	rt.start(t)
	wantWord(t, ctl(t, 0, gc...), "no endpoint is lost")
}

// shown looks at a pod that has, beside a map, what a plugin after ours has pinned.
func shown(t *testing.T, rt *containerd) {
	t.Helper()
	p := rt.newPod(t, "shown")
	must(t, p.run)
	wantWord(t, ctl(t, 0, "list", "--wide", "--pod", "shown"), "percpu_array:2,object:2,reserved:1")
	wantWord(t, ctl(t, 0, "list", "--pod", "default/shown"), "maps:1,object:2,reserved:1")
	tryCommands(t, ctl(t, 0, "show", p.id), 4)
	p.end(t)
}

// wantEndpoints reports if there are endpoints of other pods than these.
func wantEndpoints(t *testing.T, pods ...*pod) {
	t.Helper()
	all := endpoints(t)
	for _, p := range pods {
		if _, ok := all[p.id]; !ok {
			t.Errorf("endpoints: got %v, want one of the pod %s", all, p.config.GetMetadata().GetName())
		}
	}
	if len(all) != len(pods) {
		t.Errorf("endpoints: got %d, want %d", len(all), len(pods))
	}
}

// tryCommands types what show says that one can type.
func tryCommands(t *testing.T, shown string, want int) {
	t.Helper()
	n := 0
	for line := range strings.Lines(shown) {
		if strings.HasPrefix(line, "  bpftool ") {
			mustRun(t, "sh", "-ec", line)
			n++
		}
	}
	if n != want {
		t.Errorf("commands: got %d, want %d:\n%s", n, want, shown)
	}
}

func wantWord(t *testing.T, text, word string) {
	t.Helper()
	if !strings.Contains(text, word) {
		t.Errorf("got\n%s\nwant %q in it", text, word)
	}
}
