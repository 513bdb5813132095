"""Commands on what is destroyed beyond recovery, and how its receipts are printed."""

from __future__ import annotations

import argparse

from minirag.cli.places import open_workspace
from minirag.cli.showing import one_line, print_json, print_table
from minirag.models.erasures import ErasureReceipt, HandlingOfChats

__all__ = ["handling_of_chats", "list_erasures", "print_receipt", "resume_erasures"]


def list_erasures(options: argparse.Namespace) -> int:
    """Print every receipt, newest first."""
    with open_workspace(options) as workspace:
        receipts = workspace.erasures.list()
    if options.json:
        print_json(receipts)
    else:
        rows = [[r.id, f"{r.requested_at:%Y-%m-%d %H:%M}", r.kind, r.tenant, r.status, r.cause] for r in receipts]
        print_table(["id", "asked for", "kind", "tenant", "status", "cause"], rows)
    return 0


def resume_erasures(options: argparse.Namespace) -> int:
    """Go on with what is pending; 1 if something still is."""
    with open_workspace(options) as workspace:
        receipts = workspace.erasures.resume()
    if options.json:
        print_json(receipts)
    else:
        for receipt in receipts:
            print(one_line(str(receipt)))
        if not receipts:
            print("nothing is pending")
    return 0 if all(receipt.status == "done" for receipt in receipts) else 1


def print_receipt(receipt: ErasureReceipt, options: argparse.Namespace) -> int:
    """Print a receipt; 1 if it is pending."""
    if options.json:
        print_json(receipt)
    else:
        print(one_line(str(receipt)))
        if not options.quiet:
            for place in receipt.out_of_reach:
                print(one_line(f"out of reach: {place}"))
    return 0 if receipt.status == "done" else 1


def handling_of_chats(options: argparse.Namespace) -> HandlingOfChats:
    """Return what becomes of answers that cite what is erased."""
    return "keep" if options.keep_chats else "scrub"
