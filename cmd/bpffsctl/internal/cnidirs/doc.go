// Package cnidirs says in which directories of a node the container runtime looks
// for plugins and for networks, and how that is known: what a command was told,
// else what the runtime says, else the directories that the runtimes document.
package cnidirs
