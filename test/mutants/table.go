package main

// A mutant is the plugin without one of its guards.
type mutant struct {
	name, effect string
	dir          string // of the package with the guard
	changes      []change
	tests        []suite // one of which must fail
}

// A suite is some tests of a package.
type suite struct{ pkg, run string }

// dir returns the directory of the suite's module, and its package there.
func (s suite) dir() (module, pkg string) {
	if s.pkg == "reliability" || s.pkg == "pods" {
		return "test", "./" + s.pkg
	}
	return ".", "./" + s.pkg
}

// leaf is some tests of a package in internal/.
func leaf(name, run string) suite { return suite{"internal/" + name, run} }

func unit(run string) suite { return suite{"pkg/bpffs", run} }

func whole(run string) suite { return suite{"reliability", run} }

// kill is the part of the test that kills anywhere with these scenarios.
func kill(scenarios string) suite { return whole("TestKillAnywhere/scenario/" + scenarios) }

// mutants returns all of them. docs/design.md says what each guard is for.
func mutants() []mutant {
	var all []mutant
	for _, subject := range [][]mutant{
		mountMutants(), lockMutants(), idMutants(), orderMutants(), ownedMutants(), removalMutants(),
		lookMutants(), wayMutants(), hiddenMutants(), waitMutants(), inputMutants(),
		volumeMutants(), annotationMutants(), tokenMutants(), agentMutants(),
	} {
		all = append(all, subject...)
	}
	return all
}

// inLibrary returns a mutant of the library that one of the tests must notice.
func inLibrary(name, effect string, tests []suite, changes ...change) mutant {
	return mutant{name, effect, "pkg/bpffs", changes, tests}
}

// inLeaf is like inLibrary, of a package in internal/.
func inLeaf(leaf, name, effect string, tests []suite, changes ...change) mutant {
	return mutant{name, effect, "internal/" + leaf, changes, tests}
}

func inPlugin(name, effect string, tests []suite, changes ...change) mutant {
	return mutant{name, effect, "plugins/bpffs", changes, tests}
}

func by(tests ...suite) []suite { return tests }

// no is the error of a call that is not made.
const no = "error(nil)"

func mountMutants() []mutant {
	crowd := by(unit("TestMount"), whole("TestRaces"))
	return []mutant{
		inLibrary("the mount lock", "two first ADDs stack mounts", crowd, instead("mountRoot", "flock.Dir", "func() {}, func() error { _ = flock.Dir; return nil }()")),
		inLibrary("the second look after the mount lock", "whoever waited mounts again", crowd, never("mountRoot", "isMounted").theLast()),
		inLibrary("the look at what mounting gave", "a stack of another mounter goes unseen",
			by(whole("TestMountedMeanwhile")), instead("mountNew", "isMounted", "true, "+no)),
		inLibrary("stacked", "a bpffs over a bpffs is used",
			by(unit("TestStateOf|TestMount"), whole("TestMountsChange")), never("stateOf", "whole", "hidden")),
	}
}

func lockMutants() []mutant {
	return []mutant{
		inLeaf("flock", "the lock on the records", "processes change them at once",
			by(unit("Locked|ManyProcesses"), whole("TestRaces|TestKillUnderLoad")), instead("File", "flock", no)),
		inLeaf("flock", "the deadline of a lock", "a stopped process stops all others",
			by(unit("Locked")), instead("wait", "Done", "context.Background().Done()")),
		inLeaf("flock", "IsAt after the mount lock", "the lock on a covered directory counts",
			by(unit("TestMount|TestLock")), always("Dir", "current")),
		inLibrary("IsAt after the lock on the records", "records that were unmounted meanwhile are changed",
			by(unit("TestRecordsMountedAnew|TestEndpoints")), always("Endpoints.lock", "ok")),
	}
}

func idMutants() []mutant {
	return []mutant{
		inLibrary("the look for a record in the search", "an ID is given twice", by(unit("TestAllocate")), never("search", "taken")),
		inLibrary("the occupied-path check in the search", "a foreign pin is handed out",
			by(unit("TestAllocate"), kill("ADD_that_creates")), always("search", "occupied")),
		inLibrary("the occupied-path check of a later ADD", "a foreign pin is recorded as ours",
			by(unit("TestAllocate")), never("extend", "occupied")),
		inLibrary("the owner check when the index is read", "what a killed ADD left is believed",
			by(unit("TestAllocateIgnores"), kill("first_ADD|ADD_that_creates")), instead("Endpoints.lookUp", "owner", "a.path(), "+no)),
	}
}

func orderMutants() []mutant {
	const record, scratch = "e.record(id).dir", "scratchDir"
	firstAdd := by(kill("first_ADD|ADD_that_creates"))
	del := by(kill("^DEL$"))
	return []mutant{
		inLibrary("scratch and rename", "half a record counts", firstAdd,
			instead("insert", "Mkdir", "e.cni.MkdirAll("+record+")"), renamed("insert", scratch, record), instead("insert", "Rename", no)),
		inLibrary("the index before the record", "DEL cannot find what a killed ADD recorded", firstAdd,
			instead("insert", "add", no),
			instead("insert", "Rename", "func() error {\nif err := $0; err != nil {\nreturn err\n}\nreturn e.index.add(a, id)\n}()")),
		inLibrary("clearing scratch", "what a killed process left gets into the next record",
			by(unit("TestOpeningClearsScratch"), firstAdd[0]), instead("clearScratch", "RemoveTree", no)),
		inLibrary("pins before the record", "a killed DEL leaves pins in no record", del, move("Endpoints.remove", "Rename", "unpin")),
		inLibrary("the record in one step", "a killed DEL leaves half a record", del,
			drop("Endpoints.remove", "Rename"), renamed("Endpoints.remove", scratch, "r.dir")),
		inLibrary("the index after the record", "DEL cannot find what a killed DEL left", del,
			instead("Endpoints.forget", "e.remove", "errors.Join(e.index.remove(a), $0)")),
		inPlugin("the undoing of the pins of an ADD that fails", "maps stay that no ADD has answered with",
			by(whole("TestUndoOnlyOwnPins")), instead("record", "UnpinMaps", "func() error { _ = pinned; return nil }()")),
		inPlugin("the undoing of an ADD that fails", "a refused map costs an ID",
			by(whole("TestRefused|TestStandardOutput")), never("record", "isNew")),
	}
}

func ownedMutants() []mutant {
	unsafe := by(unit("TestUnsafe"), whole("TestNeighbour|TestMapDirectoryChanged"))
	return []mutant{
		inLibrary("CheckTop", "others can replace what is in the root", unsafe, instead("Endpoints.open", "CheckTop", no)),
		inLeaf("owned", "CheckTop: the owner", "the owner of the root can replace what is in it", unsafe, never("CheckTop", "Owner")),
		inLeaf("owned", "CheckTop: the mode", "others can rename our directories", unsafe, never("CheckTop", "Mode")),
		inLeaf("owned", "Check: a directory", "a link is followed", unsafe, never("Check", "IsDir")),
		inLeaf("owned", "Check: the owner", "records of another user are believed", unsafe, never("Check", "Owner")),
		inLeaf("owned", "Check: the mode", "records that others can write to are believed", unsafe, never("Check", "Mode", "0o022")),
		inLibrary("Make of the map directory", "maps are pinned where others can replace them", unsafe,
			instead("Endpoints.allocate", "Walk", "e.root.MkdirAll(maps.Prefix())")),
	}
}

func removalMutants() []mutant {
	gc := by(kill("GC_of_several"))
	return []mutant{
		inLibrary("Check before pins are removed", "DEL removes in a directory of another user",
			by(unit("TestRelease|TestUnsafe"), whole("TestMapDirectoryChanged")),
			instead("unpin", "Walk", "func() error {\n_ = owned.Walk\n_, err := e.root.Stat(dir)\nreturn err\n}()")),
		inLibrary("the record of a pin that is stuck", "DEL forgets a pin that it could not remove",
			by(unit("TestRelease"), whole("TestRefused|TestMountsChange")), never("Endpoints.remove", "errlist.Join")),
		inLibrary("the network of a GC", "GC removes the attachments of other networks", gc,
			instead("collector.container", "attachments", `c.index.attachments("other", container)`)),
		inLeaf("netconf", "the list of a GC", "GC removes what is valid", gc, renamed("ParseValidAttachments", "true", "false")),
	}
}

// lookMutants take a look that failed for nothing being there.
func lookMutants() []mutant {
	looks := by(leaf("owned", "TestOnlyAbsent"), whole("TestOnlyAbsent"))
	return []mutant{
		inLeaf("owned", "only absent means absent", "DEL succeeds with everything left", looks, always("IsAbsent", "absent")),
		inLibrary("the look at what is hidden", "DEL says nothing of a hidden bpffs that it cannot see",
			by(whole("TestOnlyAbsentMeansAbsentBelowAMount")), always("checkHidden", "IsAbsent")),
		inLibrary("who refuses a look at a map", "CHECK says that a map differs which it has not seen",
			by(whole("TestOnlyAbsentMeansAbsentOfPins")), instead("ReadMap", "IsRegular", "(st == nil)")),
		inPlugin("errors of roots where the pod may be", "DEL succeeds where it saw nothing", looks, never("eachRecords", "found")),
		inLibrary("the look for records that are another's", "DEL succeeds with everything left",
			by(whole("TestOnlyAbsentMeansAbsentOfLost")), never("whose", "found")),
		inPlugin("the root that is configured", "DEL succeeds where it could not look",
			by(whole("TestOnlyAbsentMeansAbsentOfLost")), instead("tolerate", "isConfigured", "false")),
		inLibrary("the layout before the hint", "DEL takes records of another layout for none",
			by(whole("TestOnlyAbsentMeansAbsentOfRecords")), never("mayHave", "known")),
		inLibrary("one bpffs once", "CHECK fails where two roots show one bpffs", by(whole("TestOnePlaceOnce")), never("walk", "seen")),
		inLibrary("the hint before the lock", "DEL waits for a lock where the pod is not",
			by(whole("TestOnePlaceOnce")), never("WalkTo", "mayHave")),
		inLibrary("CheckRoot: dots", "the verbs disagree on what a root is", by(whole("TestOneResolver")), never("checkRootPath", "slices")),
		inLibrary("CheckRoot: control characters", "a root is accepted that no terminal can show",
			by(whole("TestOneResolverTakes")), never("CheckRoot", "isPlain")),
		inLeaf("owned", "links of processes", "each process finds another root",
			by(whole("TestOneResolverFollows")), instead("follower.follow", "IsProc", "false, "+no)),
		inLibrary("CheckRoot: the length", "what cannot be a root is mounted", by(whole("TestOneResolver")), never("checkRootPath", "maxRoot")),
	}
}

func wayMutants() []mutant {
	ways := by(leaf("owned", "TestWayToTheRoot"))
	return []mutant{
		inLeaf("owned", "the way: owners", "a user detaches the bpffs of the node", ways, never("distrust", "dir")),
		inLeaf("owned", "the way: modes", "everybody detaches the bpffs of the node", ways, never("distrust", "sticky")),
		inLeaf("owned", "the way: sticky directories", "a user leads the root elsewhere", ways, never("distrust", "ModeSymlink")),
		inLibrary("the way before a mount", "bpffs is mounted where a user can detach it",
			by(whole("TestWayToTheRoot")), instead("mountRoot", "followSafely", "follow(root)")),
		inLibrary("the way before STATUS says yes", "STATUS promises what ADD refuses",
			by(whole("TestWayToTheRoot")), instead("checkRoot", "distrust", no)),
		inPlugin("the warning of DEL and GC", "nobody learns that the root is unsafe",
			by(whole("TestWayToTheRootBecomes")), instead("warnOfWay", "CheckWay", no)),
		inLeaf("bpfmount", "the mount on a descriptor", "a path that changed leads the mount elsewhere", by(whole("TestWayToTheRootChanges")),
			instead("Attach", "MoveMount", `unix.MoveMount(int(root.Fd()), "", unix.AT_FDCWD, dir.Name(), unix.MOVE_MOUNT_F_EMPTY_PATH)`)),
	}
}

func hiddenMutants() []mutant {
	return []mutant{
		inLeaf("owned", "Check: a mount", "records are written into what hides them", by(whole("TestWhatAMountIs")), instead("Check", "isHidden", "false, "+no)),
		inLibrary("what hides a record", "DEL takes a hidden record for none",
			by(whole("TestWhatAMountIsInTheRecords")), instead("checkMounted", "Walk", no)),
		inLibrary("what hides a network of the index", "GC removes directories of somebody else",
			by(whole("TestWhatAMountIsInTheRecords")), never("index.list", "ErrMounted")),
	}
}

func waitMutants() []mutant {
	between := by(unit("TestNobodyIsCollected|TestYield"))
	return []mutant{
		inLeaf("flock", "the announcement of those who wait", "a collector gets in between them",
			by(leaf("flock", "TestNobodyWaits")), instead("Politely", "isAwaited", "false")),
		inLibrary("the portions of a collector", "an ADD waits for a whole GC", between, always("Endpoints.yield", "portion")),
		inLibrary("clearing scratch between portions", "a killed ADD ends a GC", between, instead("Endpoints.pause", "clearScratch", no)),
		inLibrary("the young in between", "GC removes what was made meanwhile", between, instead("collector.container", "isYoung", "false, "+no)),
		inLibrary("those who answered in between", "GC removes what an ADD has just answered from",
			between, instead("isYoung", "s.set.Changed.After", "false")),
		inPlugin("the hint before maps are made", "a pod that has its maps makes them again",
			by(whole("TestNobodyMakesMapsTwice")), instead("prepare", "IsRecorded", "false")),
	}
}

func inputMutants() []mutant {
	return []mutant{
		inLibrary("the entries that a kernel refuses at once", "STATUS succeeds where no ADD can", by(unit("TestStatusIsAnADD")), never("MapSpec.probe", "limit")),
		inLibrary("the memory of the node", "STATUS succeeds where no ADD can", by(unit("TestStatusIsAnADD")), never("MapDecl.probe", "reserved")),
		inLibrary("the size of what STATUS creates", "STATUS takes gigabytes every few seconds",
			by(unit("TestStatusTakesNoMemory")), instead("MapSpec.probe", "min", "s.ValueSize")),
		inLibrary("flags of a descriptor", "a pod whose ADD succeeded never passes CHECK", by(unit("TestWhatIsAccepted")), never("checkFlags", "lost")),
		inLibrary("links where maps are", "a link is taken for a missing map", by(unit("TestWhatIsAcceptedIsNoLink")), never("checkPin", "ModeSymlink")),
		inLeaf("fdinfo", "a missing /proc", "a pinned map is taken for missing", by(unit("TestWhatIsAcceptedNeedsProc")), never("Of", "ErrNotExist")),
		inLeaf("errlist", "the limit of a list", "a message has no end", by(leaf("errlist", "TestMessages")), instead("list.Error", "min", "len(l)")),
		inPlugin("the limit of a message", "a message has no end", by(whole("TestMessages")), never("printable", "maxMessage")),
	}
}

// inPods is some tests of volumes of pods.
func inPods(run string) suite { return suite{"pods", run} }

// volumeMutants lose mounts in volumes of pods, or let pods do more than they may.
func volumeMutants() []mutant {
	return []mutant{
		inLeaf("mounts", "whether it is the mount that was recorded", "DEL removes what others have mounted",
			by(leaf("mounts", "TestFind")), instead("location.open", "holds", "true, "+no)),
		inLeaf("podfs", "what is mounted where a pod's maps come", "a bpffs is mounted over, or in, somebody else's",
			by(inPods("TestRefused")), renamed("openDirAt", "RESOLVE_NO_XDEV", "RESOLVE_NO_MAGICLINKS")),
		inLeaf("podfs", "who can change the way to a volume", "another user sees the maps",
			by(inPods("TestRefusedWay")), never("safeWay", "err")),
		inLeaf("podfs", "what a record calls a bpffs", "DEL removes another file system",
			by(unit("TestPodMountRecords")), never("makeWritable", "Type")),
		inLibrary("what pods see in the mount table", "an agent keeps its maps where a pod sees them",
			by(unit("TestFindByMountTable")), never("FindRoot", "IsSource")),
		inLibrary("the seal on a pod's mounts", "a pod removes its pins, and adds others",
			by(inPods("TestContainer")), instead("view.build", "Seal", no)),
		inLibrary("the sandbox before", "the pod's next sandbox fails, or shows the old maps",
			by(inPods("TestSandboxMadeAgain")), never("Endpoints.takeVolume", "before")),
		inLibrary("the entry of a volume in the index", "it leads to an ID of another pod",
			by(inPods("TestRemoved")), never("Endpoints.hidePod", "id")),
	}
}

// annotationMutants let pods have what the cluster's admin did not offer.
func annotationMutants() []mutant {
	refused := by(leaf("netconf", "TestAnnotationIsRefused"))
	return []mutant{
		inLeaf("netconf", "the limit of an optional map", "a pod takes the node's memory", refused, never("Config.readRequest", "limit")),
		inLeaf("netconf", "which maps a pod can ask for", "a pod makes the plugin crash", refused,
			never("Config.readRequest", "optional")),
		inLeaf("netconf", "maps that are named twice", "nobody says which size counts", refused, never("Config.readAnnotation", "twice")),
		inLeaf("netconf", "the length of an annotation", "a pod keeps the plugin busy", refused,
			renamed("Config.readAnnotation", "maxAnnotation", "1<<30")),
		inLeaf("netconf", "the capability for annotations", "pods ask for maps and nobody hears them",
			by(leaf("netconf", "TestOptionalMapsAreChecked")), always("Config.checkCapability", "declared")),
		inPlugin("the maps that a pod did not ask for", "every pod has all maps",
			by(inPods("TestOptionalUnasked")), instead("plugin.Add", "ForPod", "c.Config, "+no)),
	}
}

// tokenMutants give a pod more than the cluster's admin may delegate.
func tokenMutants() []mutant {
	refused := by(leaf("token", "TestBeyondThePod"))
	return []mutant{
		inLeaf("token", "types that reach beyond the pod", "a pod traces the whole node", refused, never("add", "reason")),
		inLeaf("token", "attach types and their programs", "what is delegated is not what was written", refused,
			never("Delegation.AddAttachType", "Programs")),
		inLeaf("token", "a failed step of the child", "a pod's bpffs belongs to the node",
			by(leaf("token", "TestOpenSaysWhichStepFailed")), never("child.inChild", "errno")),
		inLeaf("token", "the wait for the child", "a zombie stays", by(leaf("token", "TestOpenUnderPressure")), instead("child.run", "reap", "func() error { _ = pid; return nil }()")),
		inLeaf("netconf", "the namespaces of a delegation", "nobody says whose pods get a token",
			by(leaf("netconf", "TestParseErrors")), never("Config.parseDelegate", "Namespaces")),
		inPlugin("the namespaces that are delegated to", "every pod gets a token",
			by(inPods("TestToken/another_namespace")), instead("call.tokenOwner", "Contains", "(true || slices.Contains[[]string](nil, c.Args))")),
		inPlugin("whose network namespace it is", "a pod cannot start that has the node's user namespace",
			by(inPods("TestToken/in_the_user_namespace_of_the_node")), never("call.tokenOwner", "foreign")),
		inLibrary("the maps to read beside a token", "a pod writes to maps that it may only read",
			by(inPods("TestToken/a_namespace_that_is_delegated_to")), always("PodVolume.views", "read", "Token")),
		inLeaf("podfs", "the depth of what a pod has filled", "DEL takes as long as the pod likes",
			by(inPods("TestTokenFilled/directories_too_deep,_DEL")), renamed("Clear", "mostDeep", "1<<20")),
		inLeaf("podfs", "how much of what a pod has filled goes", "DEL takes as long as the pod likes",
			by(inPods("TestTokenFilled/too_many_pins,_DEL")), renamed("Clear", "maxRemoved", "1<<20")),
	}
}

func agentMutants() []mutant {
	return []mutant{
		inLibrary("the whole record", "an agent is told of an endpoint without maps",
			by(unit("TestWatchHalfWritten")), instead("Endpoints.readWhole", "isWhole", "true, "+no)),
		inLibrary("the record in its place", "an agent is told of an endpoint that is gone, or with another's maps",
			by(unit("TestLookAtWhatIsReleased")), instead("watcher.found", "IsAt", "func() (bool, error) { _, _ = $0; return true, nil }()")),
		inLibrary("one ID at a time", "an agent is told that the endpoint is gone that has just come",
			by(unit("TestLookAtAnAttachment")), instead("watcher.found", "w.remove", "func() {}()").theLast()),
		inLibrary("the ID in other hands", "an agent keeps an endpoint whose ID a killed ADD has",
			by(unit("TestLookAtAnID")), instead("watcher.read", "w.remove", "func() {}()").theLast()),
		inLibrary("lost events", "an agent is not told what came while it was busy",
			by(unit("TestWatchOverflow")), never("watcher.changed", "Lost")),
		inLibrary("what hides the index", "an agent takes an endpoint that it cannot see for none",
			by(unit("TestLookUpHiddenIndex")), instead("index.matching", "checkMounted", no)),
		inLibrary("network namespaces that are not seen", "an agent takes an endpoint that it cannot see for none",
			by(unit("TestLookUpNetNS")), never("Endpoints.find", "len")),
	}
}
