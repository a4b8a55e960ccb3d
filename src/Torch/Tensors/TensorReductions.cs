using TorchSharp.Native;
using static TorchSharp.Native.Calls;

namespace TorchSharp;

public static partial class torch
{
    /// <content>
    /// Reductions. Without a dimension they give one element; with one they drop that dimension, or keep it with size 1
    /// when keepdim is set.
    /// </content>
    public partial class Tensor
    {
        public Tensor all() => Call(Ops.all, this);
        public Tensor all(long dim, bool keepdim = false) => Call(Ops.all_dim, this, dim, keepdim);
        public bool allclose(Tensor target, double rtol = 1E-05, double atol = 1E-08, bool equal_nan = false) => CallBool(Ops.allclose, this, target, rtol, atol, equal_nan);
        public Tensor amax(params long[] dims) => Call(Ops.amax, this, dims);
        public Tensor amin(params long[] dims) => Call(Ops.amin, this, dims);
        public (Tensor min, Tensor max) aminmax(long? dim = null, bool keepdim = false) => Call2(Ops.aminmax, this, dim, keepdim);
        public Tensor any() => Call(Ops.any, this);
        public Tensor any(long dim, bool keepdim = false) => Call(Ops.any_dim, this, dim, keepdim);
        public Tensor argmax() => Call(Ops.argmax, this);
        public Tensor argmax(long dim, bool keepdim = false) => Call(Ops.argmax, this, dim, keepdim);
        public Tensor argmin() => Call(Ops.argmin, this);
        public Tensor argmin(long dim, bool keepdim = false) => Call(Ops.argmin, this, dim, keepdim);
        public Tensor argsort(long dim = -1, bool descending = false) => Call(Ops.argsort, this, dim, descending);
        public Tensor bincount(Tensor? weights, long minlength = 0) => Call(Ops.bincount, this, weights, minlength);
        public (Tensor values, Tensor indexes) cummax(long dim) => Call2(Ops.cummax, this, dim);
        public (Tensor values, Tensor indexes) cummin(long dim) => Call2(Ops.cummin, this, dim);
        public Tensor cumprod(long dim, ScalarType? type = null) => Call(Ops.cumprod, this, dim, type);
        public Tensor cumsum(long dim, ScalarType? type = null) => Call(Ops.cumsum, this, dim, type);
        public Tensor isclose(Tensor other, double rtol = 1E-05, double atol = 1E-08, bool nanEqual = false) => Call(Ops.isclose, this, other, rtol, atol, nanEqual);
        public Tensor logcumsumexp(long dim) => Call(Ops.logcumsumexp, this, dim);
        public Tensor logsumexp(long dim, bool keepdim = false) => Call(Ops.logsumexp, this, (long[])[dim], keepdim);
        public Tensor max() => Call(Ops.max, this);
        public Tensor max(Tensor other) => Call(Ops.max_other, this, other);
        public (Tensor values, Tensor indexes) max(long dim, bool keepdim = false) => Call2(Ops.max_dim, this, dim, keepdim);
        public Tensor mean() => Call(Ops.mean, this);
        public Tensor mean(long[] dimensions, bool keepdim = false, ScalarType? type = null) => Call(Ops.mean_dim, this, dimensions, keepdim, type);
        public Tensor median() => Call(Ops.median, this);
        public Tensor min() => Call(Ops.min, this);
        public Tensor min(Tensor other) => Call(Ops.min_other, this, other);
        public (Tensor values, Tensor indexes) min(long dim, bool keepdim = false) => Call2(Ops.min_dim, this, dim, keepdim);
        public (Tensor values, Tensor indices) mode(long dim = -1, bool keepdim = false) => Call2(Ops.mode, this, dim, keepdim);
        public Tensor nanmedian() => Call(Ops.nanmedian, this);
        public Tensor nanquantile(Tensor q, long dim = -1, bool keepdim = false) => Call(Ops.nanquantile, this, q, dim, keepdim);
        public Tensor nansum() => Call(Ops.nansum, this);
        public Tensor prod(ScalarType? type = null) => Call(Ops.prod, this, type);
        public Tensor prod(long dim, bool keepdim = false, ScalarType? type = null) => Call(Ops.prod_dim_int, this, dim, keepdim, type);
        public Tensor quantile(Tensor q, long dim = -1, bool keepdim = false) => Call(Ops.quantile, this, q, dim, keepdim);
        public Tensor sum(ScalarType? type = null) => Call(Ops.sum, this, type);
        public Tensor sum(long[] dim, bool keepdim = false, ScalarType? type = null) => Call(Ops.sum_dim_IntList, this, dim, keepdim, type);
        public Tensor sum(ReadOnlySpan<long> dim, bool keepdim = false, ScalarType? type = null) => Call(Ops.sum_dim_IntList, this, dim.ToArray(), keepdim, type);
        public Tensor sum(long dim, bool keepdim = false, ScalarType? type = null) => Call(Ops.sum_dim_IntList, this, (long[])[dim], keepdim, type);
        public (Tensor values, Tensor indexes) topk(int k, int dim = -1, bool largest = true, bool sorted = true) => Call2(Ops.topk, this, k, dim, largest, sorted);
        public Tensor trace() => Call(Ops.trace, this);
        public (Tensor output, Tensor inverse_indices, Tensor counts) unique_consecutive(bool return_inverse = false, bool return_counts = false, int? dim = null) => Call3(Ops.unique_consecutive, this, return_inverse, return_counts, (long?)dim);
        public Tensor amax(long[] dims, bool keepdim = false, Tensor? @out = null) => Into(@out, Call(Ops.amax, this, dims, keepdim));
        public Tensor amax(ReadOnlySpan<long> dims, bool keepdim = false, Tensor? @out = null) => amax(dims.ToArray(), keepdim, @out);
        public Tensor amin(long[] dims, bool keepdim = false, Tensor? @out = null) => Into(@out, Call(Ops.amin, this, dims, keepdim));
        public Tensor amin(ReadOnlySpan<long> dims, bool keepdim = false, Tensor? @out = null) => amin(dims.ToArray(), keepdim, @out);
        public Tensor count_nonzero(long[]? dims = null) => dims is null ? Call(Ops.count_nonzero, this) : Call(Ops.count_nonzero_dim_IntList, this, dims);
        public Tensor norm(float p = 2) => Call(Ops.norm_Scalar, this, (double)p);
        public Tensor norm(int dim, bool keepdim = false, float p = 2) => Call(Ops.norm_ScalarOpt_dim, this, (double)p, (long[])[dim], keepdim);
        public (Tensor Values, Tensor Indices) sort(long dim = -1, bool descending = false, bool stable = false) => Call2(Ops.sort_stable, this, stable, dim, descending);
        public Tensor sum(long dim0, long dim1, bool keepdim = false, ScalarType? type = null) => sum((long[])[dim0, dim1], keepdim, type);
        public Tensor sum(long dim0, long dim1, long dim2, bool keepdim = false, ScalarType? type = null) => sum((long[])[dim0, dim1, dim2], keepdim, type);
        public Tensor std(bool unbiased = true) => Call(Ops.std, this, unbiased);
        public Tensor std(long dim, bool unbiased = true, bool keepdim = false, ScalarType? type = null) => std((long[])[dim], unbiased, keepdim, type);
        public Tensor std(long[] dimensions, bool unbiased = true, bool keepdim = false, ScalarType? type = null) => Cast(Call(Ops.std_dim, this, dimensions, unbiased, keepdim), type);
        public Tensor std(ReadOnlySpan<long> dimensions, bool unbiased = true, bool keepdim = false, ScalarType? type = null) => std(dimensions.ToArray(), unbiased, keepdim, type);
        public Tensor var(bool unbiased = true) => Call(Ops.var, this, unbiased);
        public Tensor var(long dim, bool unbiased = true, bool keepdim = false, ScalarType? type = null) => var((long[])[dim], unbiased, keepdim, type);
        public Tensor var(long[] dimensions, bool unbiased = true, bool keepdim = false, ScalarType? type = null) => Cast(Call(Ops.var_dim, this, dimensions, unbiased, keepdim), type);
        public Tensor var(ReadOnlySpan<long> dimensions, bool unbiased = true, bool keepdim = false, ScalarType? type = null) => var(dimensions.ToArray(), unbiased, keepdim, type);
        public (Tensor output, Tensor inverse_indices, Tensor counts) unique(bool sorted = true, bool return_inverse = false, bool return_counts = false, int? dim = null) =>
            dim is { } d ? Call3(Ops.unique_dim, this, d, sorted, return_inverse, return_counts) : Call3(Ops._unique2, this, sorted, return_inverse, return_counts);

        private static Tensor Cast(Tensor t, ScalarType? type) => type is { } x && x != t.dtype ? t.to(x, disposeAfter: true) : t;

        private static Tensor Into(Tensor? target, Tensor result) => target is null ? result : target.copy_(result);
    }
}
