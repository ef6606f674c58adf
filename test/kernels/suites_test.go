package kernels

import (
	"slices"
	"strings"
)

// suites returns what runs on a machine; of "" what there is.
func suites(machine string) []Suite {
	all := []Suite{
		{Name: "machine", Dir: "test/kernels"},
		{Name: "mounts", Dir: "internal/mounts"},
		{Name: "token", Dir: "internal/token"},
		{Name: "volumes", Dir: "internal/podfs"},
		{Name: "pods", Dir: "test/pods"},
		{Name: "library", Dir: "pkg/bpffs"},
		{Name: "plugin", Dir: "plugins/bpffs"},
		{Name: "cnitool", Dir: "test/integration"},
	}
	var skip, not []string
	for _, l := range leftOut() {
		if l.on == nil || slices.Contains(l.on, machine) {
			skip, not = append(skip, l.tests...), append(not, l.suites...)
		}
	}
	for i := range all {
		all[i].Args = []string{"./suite.test", "-test.v=test2json", "-test.short", "-test.timeout=50m", "-test.skip=" + strings.Join(skip, "|")}
	}
	all[0].Args = append(all[0].Args, "-test.run=^TestMachine") // the others start machines
	return slices.DeleteFunc(all, func(s Suite) bool { return slices.Contains(not, s.Name) })
}

// A leaving is of tests that "make test" runs, but these machines do not.
type leaving struct {
	tests, suites []string
	on            []string // the machines; all of them if there is none
	why           string
}

func leftOut() []leaving {
	others := []string{"5.10-amd64", "6.12-amd64", "6.1-arm64", "6.12-arm64", "6.12-s390x", "newest-amd64"} // than 6.1-amd64 and this machine
	return []leaving{
		{tests: []string{"^TestBadInput$"}, why: "no kernel changes what they test, with many processes"},
		{tests: []string{"^TestCrowd$"}, why: "in emulation its processes start later than the plugin waits; the library has crowds of its own"},
		{tests: []string{"^Test(Doctor)?Examples?$"}, why: "they compare the documents with what is printed, in which no kernel changes anything but sizes"},
		{tests: []string{"^ExampleMapDir_Environ$", "^TestNerdctl$"}, why: "they start sh and sleep, which the machines do not have"},
		{tests: []string{"^TestPktcount"}, why: "its traffic needs protocols that the machines do not load; what it is chained after runs"},
		{tests: []string{"^TestNobodyWaitsForOthersWork$"}, why: "it works through thousands of endpoints six times, which takes an emulated machine half an hour"},
		{
			suites: []string{"volumes", "pods"}, on: []string{"5.10-amd64"},
			why: "before Linux 5.17 pods have no volumes, and TestMachinePodVolume sees that ADD says so",
		},
		{
			tests: []string{"^TestKill$", "^TestRace$", "^TestSandboxMadeAgain$", "^TestHostilePod$", "^TestNotAsked$", "^TestWatchRace$"}, on: others,
			why: "they repeat or trace calls by the hundred; 6.1, without statmount(2), and the host, which has it, run them",
		},
		{
			tests: []string{"^TestNomad$", "^TestMapTypes$", "^TestDelInAnyVersion$", "^TestFallback$"}, on: others,
			why: "they call the plugin in many versions, at many places and for many maps; 6.1 and the host run them, and TestMachineMapTypes has the maps",
		},
		{
			tests: []string{"^TestAllocateOnAFullNode$", "^TestCheckEndpointsOfAFullNode$", "^TestWhatIsAcceptedComesBack$"}, on: others,
			why: "they make 65,535 endpoints, and maps of thousands of shapes; 6.1 and the host run them",
		},
		// Of patterns with rows only the first that fits a test counts: they are last.
		{
			tests: []string{"^TestDelReadsNoMountTable$/another_file_system"},
			why:   "before statmount(2), Linux 6.8, only the table of mounts tells what another file system hides",
		},
		{
			tests: []string{"^TestStatusIsAnADDThatStops$/(an_array_larger_than_any_memory|a_trie_that_takes_no_memory_yet)"}, on: []string{"5.10-amd64"},
			why: "it refuses so large maps before it asks for memory",
		},
		{tests: []string{"^TestReadAll$/the_limit"}, why: "it hands 32 MiB over within the ten seconds that the plugin waits; no kernel changes the rest of it"},
		{tests: []string{"/_on_an_old_kernel$"}, why: "it imitates 6.1, which is here"},
	}
}
