// The IP addresses of an end. The stream does not have them: the details ask the API when they are opened.

const API = new URL("../api/v1/addresses", import.meta.url);

// Returns the addresses of an end with the lengths of their prefixes; nothing if they cannot be read.
export async function addressesOf(end) {
  const address = new URL(API);
  address.searchParams.set("nsid", end.nsid ?? "host");
  try {
    const response = await fetch(address, { cache: "no-store" });
    if (!response.ok) return null;
    const { addresses } = await response.json();
    return addresses && addresses.filter(({ ifindex }) => ifindex === end.ifindex).map(({ address: text, prefix }) => `${text}/${prefix}`);
  } catch {
    return null;
  }
}
