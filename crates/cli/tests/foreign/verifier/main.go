// Tessera's own verifiers over a journal that is served: its fsck of every entry and tile, and its witness policy.
//
//	verifier fsck URL VKEY
//	verifier policy NOTE-FILE VKEY POLICY-FILE
//
// Exit status 0 only where Tessera is content; Tessera's fsck command would log a failed check and exit with 0.
package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
)

func leaves(bundle []byte) ([][]byte, error) {
	var entries api.EntryBundle
	if err := entries.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	hashes := make([][]byte, 0, len(entries.Entries))
	for _, entry := range entries.Entries {
		hashes = append(hashes, rfc6962.DefaultHasher.HashLeaf(entry))
	}
	return hashes, nil
}

func check(address string, key note.Verifier) error {
	base, err := url.Parse(address)
	if err != nil {
		return err
	}
	fetcher, err := client.NewHTTPFetcher(base, nil)
	if err != nil {
		return err
	}
	// Each of its workers ends at the first fault that it meets, and where none is left the check waits for one for ever.
	check := fsck.New(key.Name(), key, fetcher, leaves, fsck.Opts{N: 64})
	done := make(chan error, 1)
	go func() { done <- check.Check(context.Background()) }()
	select {
	case err := <-done:
		return err
	case <-time.After(time.Minute):
		return fmt.Errorf("the check does not end")
	}
}

func policy(noteFile string, key note.Verifier, policyFile string) error {
	cosigned, err := os.ReadFile(noteFile)
	if err != nil {
		return err
	}
	if _, _, _, err := log.ParseCheckpoint(cosigned, key.Name(), key); err != nil {
		return err
	}
	text, err := os.ReadFile(policyFile)
	if err != nil {
		return err
	}
	group, err := tessera.NewWitnessGroupFromPolicy(text)
	if err != nil {
		return err
	}
	if !group.Satisfied(cosigned) {
		return fmt.Errorf("the witness policy is not satisfied")
	}
	return nil
}

func run(arguments []string) error {
	if len(arguments) < 3 {
		return fmt.Errorf("usage: verifier fsck URL VKEY | verifier policy NOTE-FILE VKEY POLICY-FILE")
	}
	key, err := note.NewVerifier(arguments[2])
	if err != nil {
		return err
	}
	switch {
	case arguments[0] == "fsck" && len(arguments) == 3:
		return check(arguments[1], key)
	case arguments[0] == "policy" && len(arguments) == 4:
		return policy(arguments[1], key, arguments[3])
	}
	return fmt.Errorf("unknown command %s", arguments[0])
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "NOT VERIFIED:", err)
		os.Exit(1)
	}
	fmt.Println("verified")
}
