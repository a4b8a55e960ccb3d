namespace FineTuneStudio.Engine.Models;

/// <summary>Finds the licence that a model folder states.</summary>
static class ModelLicense
{
    /// <summary>"license" (or "license_name") in the front matter of README.md, else a known licence text in a LICENSE file, else null.</summary>
    public static string? Find(string folder)
    {
        string readme = Path.Combine(folder, "README.md");
        if (IsSmall(readme) && FromFrontMatter(File.ReadLines(readme).Take(400)) is { } stated) return stated;
        foreach (string file in Directory.EnumerateFiles(folder).Order(StringComparer.Ordinal))
        {
            string name = Path.GetFileNameWithoutExtension(file).ToUpperInvariant();
            if (name is not ("LICENSE" or "LICENCE" or "COPYING") || !IsSmall(file)) continue;
            string start = string.Join(' ', File.ReadLines(file).Take(60));
            return FromText(start.Length > 6000 ? start[..6000] : start) ?? $"see {Path.GetFileName(file)}";
        }
        return null;
    }

    static bool IsSmall(string file) => File.Exists(file) && new FileInfo(file).Length < 5_000_000;

    static string? FromFrontMatter(IEnumerable<string> lines)
    {
        string? license = null, name = null;
        bool first = true, listed = false;
        foreach (string line in lines)
        {
            if (first && line.TrimEnd() != "---") return null;
            if (!first && line.TrimEnd() is "---" or "...") break;
            first = false;
            if (listed && line.TrimStart().StartsWith("- ", StringComparison.Ordinal))
            {
                license = license is null ? Value(line.TrimStart()[2..]) : $"{license}, {Value(line.TrimStart()[2..])}";
                continue;
            }
            listed = false;
            if (line.StartsWith("license:", StringComparison.Ordinal))
            {
                string value = Value(line["license:".Length..]);
                if (value.Length > 0) license = value.Trim('[', ']');
                else listed = true;
            }
            else if (line.StartsWith("license_name:", StringComparison.Ordinal))
            {
                name = Value(line["license_name:".Length..]);
            }
        }
        return license is "other" or null && name is { Length: > 0 } ? name : license;
    }

    static string Value(string text)
    {
        int comment = text.IndexOf(" #", StringComparison.Ordinal);
        return (comment < 0 ? text : text[..comment]).Trim().Trim('"', '\'');
    }

    static string? FromText(string text) =>
        text.Contains("Apache License", StringComparison.OrdinalIgnoreCase) ? "apache-2.0"
        : text.Contains("Permission is hereby granted, free of charge", StringComparison.OrdinalIgnoreCase) ? "mit"
        : text.Contains("Redistribution and use in source and binary forms", StringComparison.OrdinalIgnoreCase) ? "bsd"
        : text.Contains("GNU AFFERO GENERAL PUBLIC LICENSE", StringComparison.OrdinalIgnoreCase) ? "agpl-3.0"
        : text.Contains("GNU LESSER GENERAL PUBLIC LICENSE", StringComparison.OrdinalIgnoreCase) ? "lgpl"
        : text.Contains("GNU GENERAL PUBLIC LICENSE", StringComparison.OrdinalIgnoreCase) ? "gpl"
        : text.Contains("Attribution-NonCommercial", StringComparison.OrdinalIgnoreCase) ? "cc-by-nc"
        : text.Contains("Attribution-ShareAlike", StringComparison.OrdinalIgnoreCase) ? "cc-by-sa"
        : text.Contains("Creative Commons Attribution", StringComparison.OrdinalIgnoreCase) || text.Contains("Attribution 4.0 International", StringComparison.OrdinalIgnoreCase) ? "cc-by"
        : text.Contains("CC0 1.0", StringComparison.OrdinalIgnoreCase) ? "cc0-1.0"
        : null;
}
