-- Fails for large x, as a model that guards its input would.
select
    case
        when {{ var('x') }} > 8 then error('x must be at most 8')
        else {{ var('x') }} * 10 + {{ var('y') }}
    end as result
