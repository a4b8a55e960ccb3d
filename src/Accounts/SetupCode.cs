using System.Security.Cryptography;
using System.Text;

namespace FineTuneStudio.Accounts;

/// The one-time code that makes the first account. Lives in memory only; a restart prints a new one, as long as there is no account.
public sealed class SetupCode
{
    private readonly string code = Convert.ToHexString(RandomNumberGenerator.GetBytes(8)).ToLowerInvariant();

    public string ForConsole => $"{code[..4]}-{code[4..8]}-{code[8..12]}-{code[12..]}";

    [Open(OpenTo.Anyone, "compares; attempts over HTTP are limited")]
    public bool Matches(string typed) =>
        CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(typed.Trim().Replace("-", "").ToLowerInvariant()), Encoding.UTF8.GetBytes(code));
}
