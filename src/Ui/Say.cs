using System.Globalization;

namespace FineTuneStudio.Ui;

/// Numbers as every page says them: thousands separators, at most four significant digits, the same in every culture.
public static class Say
{
    private static readonly CultureInfo Culture = CultureInfo.InvariantCulture;

    public static string Count(long n) => n.ToString("N0", Culture);

    public static string Count(long n, string one, string? many = null) => $"{Count(n)} {(n == 1 ? one : many ?? one + "s")}";

    /// Words as they begin a sentence.
    public static string Capital(string words) => char.ToUpperInvariant(words[0]) + words[1..];

    public static string Number(double x)
    {
        if (!double.IsFinite(x)) return "–";
        if (x == 0) return "0";
        var size = Math.Abs(x);
        if (size is < 0.001 or >= 1e9) return Minus(x.ToString("0.###e-0", Culture));
        if (size >= 1000) return Minus(x.ToString("N0", Culture));
        return Minus(x.ToString("G4", Culture));
    }

    /// A written number with the sign of a minus instead of a hyphen before it. For eyes only: a file keeps the hyphen.
    public static string Minus(string number) => number.StartsWith('-') ? "−" + number[1..] : number;

    /// A metric between 0 and 1, with as many digits as its interval is worth.
    public static string Score(double value) => double.IsFinite(value) ? value.ToString("0.000;−0.000;0.000", Culture) : "not a number";

    public static string Signed(double value) => value.ToString("+0.000;−0.000;0.000", Culture);

    public static string Percent(double share) => (share * 100) switch
    {
        var p when !double.IsFinite(p) => "–",
        var p when p == Math.Round(p) => p.ToString("0;−0;0", Culture) + " %",
        var p when Math.Abs(p) < 1 => p.ToString("0.00;−0.00;0.00", Culture) + " %",
        var p => p.ToString("0.0;−0.0;0.0", Culture) + " %",
    };

    public static string Bytes(long bytes) => bytes switch
    {
        >= 1 << 30 => Number(bytes / (double)(1 << 30)) + " GiB",
        >= 1 << 20 => Number(bytes / (double)(1 << 20)) + " MiB",
        >= 1 << 10 => Number(bytes / 1024.0) + " KiB",
        _ => Count(bytes, "byte"),
    };

    public static string Duration(TimeSpan time) => time.TotalSeconds switch
    {
        < 1 => "under a second",
        < 60 => $"{(int)time.TotalSeconds} s",
        < 3600 => $"{time.Minutes} min {time.Seconds} s",
        _ => $"{Count((long)time.TotalHours)} h {time.Minutes} min",
    };
}
