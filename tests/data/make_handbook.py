"""Writes `handbook.pdf`: the three pages that the README and the tutorials ask about. Run it to make the file anew."""

from __future__ import annotations

import textwrap
from pathlib import Path

PAGES = (
    """Acme Store Handbook.

This handbook tells the people at the counter what Acme promises its customers.

Chapter 1: orders.

An order can be changed or cancelled until it has been packed. Orders placed before noon on a working day leave the
warehouse the same day. Delivery is free for orders above 50 euros and costs 4.90 euros below.

A parcel that has not arrived after ten working days counts as lost. Send the goods again and do not ask the customer
to wait for the carrier's answer.""",
    """Chapter 2: returns.

A laptop may be returned within 30 days of delivery. It must be complete, with its charger, and reset to factory
settings.

Phones and tablets may be returned within 14 days, as long as the seal on the box is unbroken. Headphones that have
been worn cannot be returned, for reasons of hygiene.

The refund goes back to the means of payment that was used, at the latest five working days after the goods have
arrived. Gift cards are refunded as gift cards.""",
    """Chapter 3: warranty and repairs.

Every device has a warranty of 24 months. The warranty covers defects of material and workmanship; it does not cover
liquid damage or a broken screen.

A battery counts as worn when it holds less than 70 percent of its first capacity, and is then replaced free of charge
in the first 12 months.

A repair takes seven working days. If it takes longer than fourteen, the customer may borrow a device of the same kind
until it is done.""",
)


def handbook() -> bytes:
    """Return the PDF: plain objects, no compression, no date, so that the same text gives the same bytes."""
    first_page = 4
    kids = " ".join(f"{first_page + 2 * number} 0 R" for number in range(len(PAGES)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(PAGES)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for number, page in enumerate(PAGES):
        lines = []
        for paragraph in page.split("\n\n"):
            lines += [*textwrap.wrap(" ".join(paragraph.split()), 90), ""]
        shown = "\n".join(f"({line}) Tj T*" for line in lines)
        content = f"BT /F1 11 Tf 15 TL 60 760 Td\n{shown}\nET"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >> "
            f"/Contents {first_page + 2 * number + 1} 0 R >>"
        )
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
    data = b"%PDF-1.4\n"
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(len(data))
        data += f"{number} 0 obj\n{body}\nendobj\n".encode("ascii")
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    size = len(objects) + 1
    end = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R >>\n"
    return data + f"{end}startxref\n{len(data)}\n%%EOF\n".encode("ascii")


if __name__ == "__main__":
    Path(__file__).with_name("handbook.pdf").write_bytes(handbook())
