namespace FineTuneStudio.Engine.Metrics;

/// <summary>Student's t distribution (1908): how far the mean of a few numbers may be from what it estimates.</summary>
public static class StudentT
{
    /// <summary>How many standard errors on both sides of a mean hold a share of the distribution; equal to scipy's t.ppf((1 + level) / 2, degrees).</summary>
    /// <param name="level">Above 0 and below 1.</param>
    /// <param name="degrees">Degrees of freedom, at least 1: one less than there are numbers.</param>
    public static double Reach(double level, int degrees)
    {
        if (level is not (> 0 and < 1) || degrees < 1) throw new ArgumentException($"Student's t needs a level between 0 and 1 and at least one degree of freedom; got {level} and {degrees}.");
        // The share within an angle whose tangent is t / sqrt(degrees) has a closed form and rises with it.
        var (low, high) = (0.0, Math.PI / 2);
        for (var i = 0; i < 200 && low < high; i++)
        {
            var middle = (low + high) / 2;
            if (middle == low || middle == high) break;
            if (Within(middle, degrees) < level) low = middle;
            else high = middle;
        }
        return Math.Tan((low + high) / 2) * Math.Sqrt(degrees);
    }

    /// <summary>Interval of the mean that the values estimate; null of fewer than two, which say nothing of their spread.</summary>
    public static Interval? OfMean(IReadOnlyList<double> values, double level = 0.95)
    {
        if (values.Count < 2) return null;
        var mean = values.Average();
        var half = Reach(level, values.Count - 1) * Math.Sqrt(values.Sum(v => (v - mean) * (v - mean)) / (values.Count - 1) / values.Count);
        return new(mean - half, mean + half);
    }

    /// <summary>Abramowitz and Stegun 1964, 26.7.3 and 26.7.4.</summary>
    private static double Within(double angle, int degrees)
    {
        var (sin, cos) = Math.SinCos(angle);
        var isOdd = degrees % 2 == 1;
        var (term, sum) = (isOdd ? cos : 1, degrees == 1 ? 0 : isOdd ? cos : 1);
        for (var power = isOdd ? 3 : 2; power <= degrees - 2; power += 2)
        {
            term *= cos * cos * (power - 1) / power;
            sum += term;
        }
        return isOdd ? 2 / Math.PI * (angle + sin * sum) : sin * sum;
    }
}
